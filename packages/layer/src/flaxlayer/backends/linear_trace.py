"""Where the residuals of a gradient come from, once a function with its gradient was traced."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from flaxlayer.backends.conjugates import conjugate
from flaxlayer.backends.vjp import apply_vjp, differentiate
from flaxlayer.typing import Array, FlatCallable

__all__ = ["LinearTrace"]


@dataclass(frozen=True)
class _Input:
    index: int


@dataclass(frozen=True)
class _Kept:
    index: int
    impl: Hashable


@dataclass(frozen=True)
class _Constant:
    value: Array


class LinearTrace:
    """A function that is traced once with its gradient, whose residuals are then known.

    Args:
        function: Takes and returns flat arrays.
        free: The positions of those that it is differentiated by.
        moving: The positions of those that may be written to before the gradient is asked for: what
            is needed of them is kept.

    Attributes:
        count: How many results the function has, once it was traced.
    """

    def __init__(
        self, function: FlatCallable, free: Sequence[int], moving: frozenset[int] = frozenset()
    ) -> None:
        self._function, self._free, self._moving = function, free, moving
        self._structure: jax.tree_util.PyTreeDef | None = None
        self._leaves: list[_Input | _Kept | _Constant] = []
        self.count = 0

    def forward(self, *arrays: jax.Array) -> list[jax.Array]:
        """Returns the results, and then what is kept of the computation."""
        outputs, vjp = differentiate(self._function, arrays, self._free)
        leaves, self._structure = jax.tree_util.tree_flatten(vjp)
        fixed = (index for index in range(len(arrays)) if index not in self._moving)
        positions = {id(arrays[index]): index for index in fixed}
        kept: dict[int, jax.Array] = {}
        self._leaves = [_place(leaf, positions, kept) for leaf in leaves]
        self.count = len(outputs)
        return [*outputs, *kept.values()]

    def taken(self) -> set[int]:
        """Returns the positions of the inputs that the gradients are computed from."""
        return {leaf.index for leaf in self._leaves if isinstance(leaf, _Input)}

    def gradients(
        self,
        inputs: Mapping[int, jax.Array],
        kept: Sequence[jax.Array],
        cotangents: Sequence[jax.Array],
    ) -> list[jax.Array]:
        """Returns the gradients, those of complex functions as TensorFlow and torch have them.

        Args:
            inputs: The inputs that are taken, by position.
            kept: What `forward` returned after the results.
            cotangents: Those of the results that have gradients.
        """
        leaves = [_take(leaf, inputs, kept) for leaf in self._leaves]
        vjp = jax.tree_util.tree_unflatten(self._structure, leaves)
        return conjugate(apply_vjp(vjp, conjugate(cotangents)))


def _place(
    leaf: Array, positions: dict[int, int], kept: dict[int, jax.Array]
) -> _Input | _Kept | _Constant:
    if not isinstance(leaf, jax.core.Tracer):
        return _Constant(leaf)
    if id(leaf) in positions:
        return _Input(positions[id(leaf)])
    typed = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    index = list(kept).index(id(leaf)) if id(leaf) in kept else len(kept)
    kept[id(leaf)] = jax.random.key_data(leaf) if typed else leaf
    return _Kept(index, jax.random.key_impl(leaf) if typed else None)


def _take(
    leaf: _Input | _Kept | _Constant, inputs: Mapping[int, jax.Array], kept: Sequence[jax.Array]
) -> Array:
    if isinstance(leaf, _Constant):
        return leaf.value
    if isinstance(leaf, _Input):
        return inputs[leaf.index]
    value = kept[leaf.index]
    return value if leaf.impl is None else jax.random.wrap_key_data(value, impl=leaf.impl)
