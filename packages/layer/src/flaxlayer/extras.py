"""Packages that only some of this one's functions need."""

from __future__ import annotations

import importlib.util

from flaxlayer_core import ImportExtraError

__all__ = ["missing_extra", "require"]


def missing_extra(title: str, package: str, extra: str, law: str) -> ImportExtraError:
    """Returns the error that a package is not installed.

    Args:
        title: What failed.
        package: The package.
        extra: The extra of this one that brings it.
        law: The law that asks for what failed.
    """
    return ImportExtraError(
        title,
        expected=f"the package {package}",
        found="it is not installed",
        fix=f"pip install 'flaxlayer[{extra}]'",
        law=law,
    )


def require(package: str, extra: str, what: str) -> None:
    """Raises an `ImportExtraError` if a package that an export needs is not installed.

    Args:
        package: The package.
        extra: The extra of this one that brings it.
        what: What needs it.
    """
    if importlib.util.find_spec(package) is None:
        raise missing_extra(f"{what} needs another package.", package, extra, "S4")
