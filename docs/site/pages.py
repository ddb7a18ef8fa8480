"""Where the pages of the site come from, and what becomes of the links between them."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["BrokenLinkError", "relinked", "stage", "written_pages"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_OUTSIDE = {
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "packages/core/README.md": "project/core.md",
    "packages/testing/README.md": "project/testing.md",
}
"""Pages that stand elsewhere in the repository, and their places in the site."""

_LINK = re.compile(r"(\[[^\]\[]*\])\(([^()\s]+)\)")
_FENCE = re.compile(r"^(?P<fence>```+|~~~+)[^\n]*\n.*?^(?P=fence)\s*$", re.DOTALL | re.MULTILINE)


class BrokenLinkError(Exception):
    """A page links to a file that is not there."""


def written_pages() -> dict[str, str]:
    """Returns the place in the site of every page that somebody wrote, by its path."""
    inside = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))]
    return {f"docs/{path}": path for path in inside} | _OUTSIDE


def relinked(text: str, path: str, places: Mapping[str, str], made: Iterable[str] = ()) -> str:
    """Returns a page with links that hold in the site.

    Args:
        text: The page.
        path: Where it stands in the repository.
        places: The place in the site of every page, by its path in the repository.
        made: Places of pages that are made, and stand in no repository.

    Returns:
        The page; a link to a file that is no page goes to the repository, where its address is
        known (`GITHUB_REPOSITORY`), and is plain text elsewhere.

    Raises:
        BrokenLinkError: If a link leads to nothing.
    """
    made = {f"docs/{place}": place for place in made}
    known = {**places, **made}

    def new(link: re.Match[str]) -> str:
        label, target = link.groups()
        if re.match(r"[a-z]+:|#", target):
            return link.group()
        name, hash_, anchor = target.partition("#")
        aim = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
        if aim in known:
            way = posixpath.relpath(known[aim], posixpath.dirname(places[path]) or ".")
            return f"{label}({way}{hash_}{anchor})"
        if not (ROOT / aim).exists():
            raise BrokenLinkError(f"{path} links to {target}, and there is no {aim}.")
        address = _address()
        return f"{label}({address}/{aim})" if address else label.strip("[]")

    parts, end = [], 0
    for block in _FENCE.finditer(text):
        parts += [_LINK.sub(new, text[end : block.start()]), block.group()]
        end = block.end()
    return "".join([*parts, _LINK.sub(new, text[end:])])


def _address() -> str:
    name = os.environ.get("GITHUB_REPOSITORY")
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    return f"{server}/{name}/blob/main" if name else ""


def stage(folder: Path, made: Mapping[str, str]) -> None:
    """Writes all pages into a folder that Sphinx reads; files that did not change stay as they are.

    Args:
        folder: The folder; what else is in it is deleted.
        made: The text of pages that are made, by their places.

    Raises:
        BrokenLinkError: If a link leads to nothing.
    """
    places = written_pages()
    pages = {
        place: relinked((ROOT / path).read_text(encoding="utf-8"), path, places, made)
        for path, place in places.items()
    }
    files = {place: text.encode() for place, text in {**pages, **made}.items()}
    for path in (DOCS / "_static").iterdir():
        files[f"_static/{path.name}"] = path.read_bytes()
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for place, content in files.items():
        path = folder / place
        if not (path.exists() and path.read_bytes() == content):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    shutil.copyfile(DOCS / "conf.py", folder / "conf.py")
