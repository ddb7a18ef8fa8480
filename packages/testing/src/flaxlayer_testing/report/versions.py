"""The versions of what takes part in a check, for every record (T8)."""

from __future__ import annotations

import platform

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.report.provenance import own_versions, version_of

__all__ = ["versions"]

_OTHERS = ("keras", "jax", "flax", "optax")


def versions() -> dict[str, str]:
    """Returns the versions of what takes part in a check, and the commit of our own packages."""
    found = {name: version_of(name) for name in (*_OTHERS, *current_backend().distributions)}
    return {"python": platform.python_version(), **found, **own_versions()}
