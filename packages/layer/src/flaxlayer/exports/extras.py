"""What an export needs that the package does not."""

from __future__ import annotations

import importlib.util

from flaxlayer_core import ImportExtraError

__all__ = ["require"]


def require(package: str, extra: str, what: str) -> None:
    """Raises an `ImportExtraError` if a package is not installed.

    Args:
        package: The package.
        extra: The extra of this one that brings it.
        what: What needs it.
    """
    if importlib.util.find_spec(package) is None:
        raise ImportExtraError(
            f"{what} needs another package.",
            expected=f"the package {package}",
            found="it is not installed",
            fix=f"pip install 'flaxlayer[{extra}]'",
            law="S4",
        )
