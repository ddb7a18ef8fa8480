"""The entries of the field: those of each file of `packages`, in the order of its name (T12)."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from pathlib import Path

from conformance.field.entry import Published

__all__ = ["ENTRIES", "PINS"]

FOLDER = Path(__file__).parent
ENTRIES: tuple[Published, ...] = tuple(
    entry
    for name in sorted(found.name for found in pkgutil.iter_modules([str(FOLDER / "packages")]))
    for entry in importlib.import_module(f"conformance.field.packages.{name}").ENTRIES
)


def _pins() -> dict[str, str]:
    text = (FOLDER / "requirements.txt").read_text(encoding="utf-8")
    with (FOLDER.parents[1] / "pyproject.toml").open("rb") as file:
        named = tomllib.load(file)["dependency-groups"]["field"]
    return dict(line.split("==") for line in (*text.splitlines(), *named) if "==" in line)


PINS = _pins()
"""The version of each distribution that is installed for the field."""
