"""Which commit and which versions of our own packages run; Keras is not imported for it (T8)."""

from __future__ import annotations

import functools
import os
import subprocess
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

__all__ = ["NO_COMMIT", "commit_of", "own_versions", "version_of"]

_OURS = {
    "flaxlayer": "flaxlayer",
    "flaxlayer-core": "flaxlayer_core",
    "flaxlayer-testing": "flaxlayer_testing",
}

NO_COMMIT = "none"
"""The commit of what stands in no repository: a wheel has its version alone."""


def version_of(name: str) -> str:
    """Returns the version of a distribution that is installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


@functools.cache
def own_versions() -> dict[str, str]:
    """Returns the versions of our packages, and their commit."""
    files = {name: _file(package) for name, package in _OURS.items()}
    found = {name: _source_version(file) or version_of(name) for name, file in files.items()}
    commits = sorted({commit_of(file) for file in files.values()})
    return {**found, "commit": ", ".join(commits)}


def _file(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None, package
    return Path(spec.origin)


def _source_version(file: Path) -> str:
    """Returns the version of the project in whose `src` a package stands, empty in a wheel."""
    home = file.resolve().parents[2]
    if file.resolve().parents[1].name != "src" or not (home / "pyproject.toml").is_file():
        return ""
    project = tomllib.loads((home / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def commit_of(file: Path) -> str:
    """Returns the commit that a file is from.

    Args:
        file: A file, perhaps of a git repository.

    Returns:
        The hash, with `-dirty` where a file of the repository has changed since; `"none"` where the
        file is not kept in one, such as that of a wheel, even if a repository is around it.
    """
    folder, name = file.resolve().parent, file.name
    if _git(folder, "ls-files", "--error-unmatch", "--", name) is None:
        return NO_COMMIT
    told = _git(folder, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")
    return told or NO_COMMIT


def _git(folder: Path, *words: str) -> str | None:
    # What a hook of git sets would name another repository.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):  # no git, no repository, no commit
        return None
    return done.stdout.strip()
