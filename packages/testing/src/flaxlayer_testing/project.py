"""The project that checks run in: where its tests stand. Imports nothing that is heavy."""

from __future__ import annotations

from pathlib import Path

__all__ = ["pytest_root", "set_pytest_root"]

_ROOT: list[Path] = []


def set_pytest_root(root: Path | None) -> None:
    """Keeps the folder that the names of pytest's tests start from; None when the session ends."""
    _ROOT[:] = [] if root is None else [root]


def pytest_root() -> Path | None:
    """Returns that folder, or None where no session of pytest with the plugin runs."""
    return _ROOT[0] if _ROOT else None
