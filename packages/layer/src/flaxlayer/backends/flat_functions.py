"""Functions of any results as functions of flat arrays, which is what backends run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp

from flaxlayer.typing import Array

__all__ = ["FlatFunction", "Flattening"]

Result = TypeVar("Result")


class Flattening(Generic[Result]):
    """Makes results flat, and flat ones results again of the structure that the last one had."""

    def __init__(self) -> None:
        self._structure: jax.tree_util.PyTreeDef | None = None

    def flatten(self, result: Result) -> list[Array]:
        """Returns the leaves of a result, and remembers its structure."""
        leaves, self._structure = jax.tree_util.tree_flatten(result)
        return leaves

    def assemble(self, leaves: Sequence[Array]) -> Result:
        """Returns a result of the structure of the last one.

        Args:
            leaves: What stands for its leaves, in their order.
        """
        assert self._structure is not None, "nothing was made flat"
        result: Result = jax.tree_util.tree_unflatten(self._structure, leaves)
        return result


class FlatFunction(Flattening[Result]):
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
        super().__init__()
        self._function = function

    def __call__(self, *arrays: Array) -> list[jax.Array]:
        """Returns the leaves of the result, and remembers its structure."""
        return list(map(jnp.asarray, self.flatten(self._function(*arrays))))
