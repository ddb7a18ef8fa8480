"""Functions of any results as functions of flat arrays, which is what backends run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp

from flaxlayer.typing import Array

__all__ = ["FlatFunction"]

Result = TypeVar("Result")


class FlatFunction(Generic[Result]):
    """A function whose results are arrays one by one, and can be put together again.

    Args:
        function: Takes arrays one by one, and returns a pytree.

    Example:

    ```python
    >>> function = FlatFunction(lambda x, y: {"sum": x + y, "first": (x, 2.0)})
    >>> [float(leaf) for leaf in function(3.0, 4.0)]
    [3.0, 2.0, 7.0]
    >>> function.assemble(["x", "two", "sum"])
    {'first': ('x', 'two'), 'sum': 'sum'}

    ```
    """

    def __init__(self, function: Callable[..., Result]) -> None:
        self._function = function
        self._structure: jax.tree_util.PyTreeDef | None = None

    def __call__(self, *arrays: Array) -> list[jax.Array]:
        """Returns the leaves of the result, and remembers its structure."""
        leaves, self._structure = jax.tree_util.tree_flatten(self._function(*arrays))
        return [jnp.asarray(leaf) for leaf in leaves]

    def assemble(self, leaves: Sequence[Array]) -> Result:
        """Returns a result of the structure of the last call.

        Args:
            leaves: What stands for the arrays that the call returned, in their order.
        """
        assert self._structure is not None, "it was not called"
        result: Result = jax.tree_util.tree_unflatten(self._structure, leaves)
        return result
