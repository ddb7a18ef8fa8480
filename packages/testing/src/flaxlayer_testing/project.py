"""The project that checks run in: its table `[tool.flaxlayer]`, and where its tests stand.

Imports nothing that is heavy, and nothing by a name that the table holds (S6).
"""

from __future__ import annotations

import difflib
import importlib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flaxlayer_testing.stored import items, mapping, number, text, texts, whole

__all__ = [
    "KnownFailure",
    "Project",
    "current_project",
    "pytest_root",
    "read_project",
    "set_project",
    "set_pytest_root",
]

FILE = "pyproject.toml"

MAX_BYTES = 2**20
MAX_ITEMS = 1000


@dataclass(frozen=True)
class KnownFailure:
    """An entry of `expected-failures` in the table.

    Attributes:
        check: The check that fails.
        error: The name of the error's class.
        message: A part of its message.
        reason: Why it fails, and what is to be done about it.
        subject: The name of the module, or a pattern; `"generated"` for those of a search.
    """

    check: str
    error: str
    message: str
    reason: str
    subject: str = "*"


@dataclass(frozen=True)
class Project:
    """What a project sets for the command and the pytest plugin.

    Attributes:
        only: Names or patterns of the checks to run; None for all.
        exclude: Names or patterns of checks that do not run.
        checks: Python modules with checks of the project's own.
        examples: The most modules of a search.
        seed: The seed.
        workers: The number of processes of a search.
        max_time: Seconds after which a search begins no further module.
        expected_failures: Known failures.
    """

    only: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    examples: int | None = None
    seed: int | None = None
    workers: int | None = None
    max_time: float | None = None
    expected_failures: tuple[KnownFailure, ...] = ()


_CURRENT: list[Project] = [Project()]
_ROOT: list[Path] = []


def set_project(project: Project | None) -> None:
    """Keeps the project that this process runs in; None for one that sets nothing."""
    _CURRENT[:] = [project or Project()]


def current_project() -> Project:
    """Returns the project that this process runs in."""
    return _CURRENT[0]


def set_pytest_root(root: Path | None) -> None:
    """Keeps the folder that the names of pytest's tests start from; None when the session ends."""
    _ROOT[:] = [] if root is None else [root]


def pytest_root() -> Path | None:
    """Returns that folder, or None where no session of pytest with the plugin runs."""
    return _ROOT[0] if _ROOT else None


def read_project(folder: Path) -> Project:
    """Reads the table of the nearest `pyproject.toml`, of a folder or of one above it.

    Args:
        folder: A folder.

    Returns:
        What the table sets; what sets nothing where there is no such file or table.

    Raises:
        ReadProjectError: If the file or the table cannot be read, or has a key that is not known.
    """
    found = (place / FILE for place in (folder, *folder.absolute().parents))
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        return Project()
    try:
        return _project(_table(path))
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> Exception:
    errors = importlib.import_module("flaxlayer_testing.errors")  # and with it JAX
    refused: Exception = errors.ReadProjectError(
        f"[tool.flaxlayer] of {str(path)[:300]!r} cannot be read.",
        expected="keys of " + ", ".join(_READERS) + ", each with a value of its kind",
        found=errors.in_short(error),
        fix="Correct the table.",
        law="T8",
    )
    return refused


def _table(path: Path) -> Mapping[str, Any]:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if b"flaxlayer" not in content:
        return {}  # whatever else is wrong with it is for others to say
    if len(content) > MAX_BYTES:
        message = f"more than {MAX_BYTES:,} bytes"
        raise ValueError(message)
    table = tomllib.loads(content.decode("utf-8")).get("tool", {})
    return mapping(mapping(table).get("flaxlayer", {}))


def _project(table: Mapping[str, Any]) -> Project:
    _refuse_unknown(table, _READERS)
    values = {}
    for name, value in table.items():
        try:
            values[name.replace("-", "_")] = _READERS[name](value)
        except ValueError as error:
            message = f"{name}: {error}"
            raise ValueError(message) from error
    return Project(**values)


def _refuse_unknown(table: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, cutoff=0.0)
            message = f"the key {name[:60]!r} is not known; the nearest is {near[0]!r}"
            raise ValueError(message)


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and len(value) > MAX_ITEMS:
        message = f"more than {MAX_ITEMS} items"
        raise ValueError(message)
    return texts(value)


def _seconds(value: Any) -> float:
    seconds = number(value)
    if not 0 <= seconds <= 10**9:  # not a number either
        message = "a number of seconds is from 0 to 1e9"
        raise ValueError(message)
    return seconds


def _known_failures(value: Any) -> tuple[KnownFailure, ...]:
    if isinstance(value, list) and len(value) > MAX_ITEMS:
        message = f"more than {MAX_ITEMS} items"
        raise ValueError(message)
    return items(value, _known_failure)


def _known_failure(value: Any) -> KnownFailure:
    entry = mapping(value)
    _refuse_unknown(entry, KnownFailure.__dataclass_fields__)
    missing = [name for name in ("check", "error", "message", "reason") if not entry.get(name)]
    if missing:
        message = f"an entry without {', '.join(missing)}"
        raise ValueError(message)
    return KnownFailure(**{name: text(part) for name, part in entry.items()})


def _whole(low: int, high: int) -> Callable[[Any], int]:
    return lambda value: whole(value, low, high)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "only": _names,
    "exclude": _names,
    "checks": _names,
    "examples": _whole(1, 10**6),
    "seed": _whole(0, 2**32 - 1),
    "workers": _whole(1, 256),
    "max-time": _seconds,
    "expected-failures": _known_failures,
}
"""Reads the value of each key of the table."""
