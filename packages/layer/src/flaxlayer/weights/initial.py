"""Initial values that are made once, when they are asked for (B3)."""

from __future__ import annotations

from collections.abc import Callable

from flaxlayer.typing import Array, Variables
from flaxlayer_core import (
    flatten_with_paths,
)

__all__ = ["InitialValues"]


class InitialValues:
    """Initial arrays in the order of a layout, made at the first request and only once.

    Args:
        make: Returns the tree of initial values.
    """

    def __init__(self, make: Callable[[], Variables]) -> None:
        self._make = make
        self._leaves: list[Array] | None = None

    def __call__(self) -> list[Array]:
        """Returns the arrays."""
        if self._leaves is None:
            self._leaves = [leaf for _, leaf in flatten_with_paths(dict(self._make()))[0]]
        return self._leaves
