"""A release: one version in all places that name it, and its part of the changelog.

`python -m conformance.release check v0.1.0` compares them with a tag, and `... notes` prints what
changed in the version. It needs Python's own library alone.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

__all__ = ["ROOT", "disagreements", "notes", "versions"]

ROOT = Path(__file__).resolve().parents[1]


def versions(root: Path = ROOT) -> dict[str, str]:
    """Returns the version that each place names."""
    found: dict[str, str] = {}
    for path in sorted((root / "packages").glob("*/pyproject.toml")):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        found[project["name"]] = project["version"]
        for asked in project["dependencies"]:
            if asked.startswith("flaxlayer"):
                name, _, version = asked.partition("==")
                found[f"{name} for {project['name']}"] = version
    cited = re.search(r"^version: (\S+)$", _read(root / "CITATION.cff"), re.MULTILINE)
    found["CITATION.cff"] = cited[1] if cited else ""
    found["CHANGELOG.md"] = _headings(_read(root / "CHANGELOG.md"))[0]
    return found


def disagreements(tag: str | None = None, root: Path = ROOT) -> list[str]:
    """Returns a line for each place that names another version than the others, or than a tag."""
    found = versions(root)
    expected = found["flaxlayer"] if tag is None else tag.removeprefix("v")
    lines = [
        f"{place}: {version or 'no version'}, not {expected}"
        for place, version in found.items()
        if version != expected
    ]
    return lines if tag is None or tag.startswith("v") else [f"{tag}: not v{expected}", *lines]


def notes(root: Path = ROOT) -> str:
    """Returns what the changelog says of its latest version."""
    text = _read(root / "CHANGELOG.md")
    parts = re.split(r"^## ", text, flags=re.MULTILINE)
    released = next(part for part in parts[1:] if not part.startswith("[Unreleased]"))
    return released.partition("\n")[2].strip() + "\n"


def _headings(text: str) -> list[str]:
    return re.findall(r"^## \[(\d\S*)\] - \d{4}-\d\d-\d\d$", text, re.MULTILINE) or [""]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["check", tag]:
            sys.exit("\n".join(disagreements(tag)) or None)
        case ["notes"]:
            print(notes(), end="")
        case _:
            sys.exit(__doc__)
