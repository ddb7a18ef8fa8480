"""The versions of what takes part in a check, for every record (T8)."""

from __future__ import annotations

import platform
from importlib import metadata

from flaxlayer_testing.backends import current_backend

__all__ = ["versions"]

_DISTRIBUTIONS = ("keras", "jax", "flax", "optax", "flaxlayer-testing")


def versions() -> dict[str, str]:
    """Returns the versions of what takes part in a check."""
    names = (*_DISTRIBUTIONS, *current_backend().distributions)
    found = {name: _version(name) for name in names}
    return {"python": platform.python_version(), **found}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
