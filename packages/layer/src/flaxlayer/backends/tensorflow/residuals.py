"""A function lowered in two: its results with residuals, and the gradients from those (K2)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import tensorflow as tf
from jax import export

from flaxlayer.backends.tensorflow.conjugates import conjugate
from flaxlayer.backends.tensorflow.lowering import Lowered, lower
from flaxlayer.backends.vjp import (
    NO_GRADIENT,
    apply_vjp,
    differentiable_positions,
    differentiate,
)
from flaxlayer.typing import Array, FlatCallable
from flaxlayer_core import LowerModuleError

__all__ = ["Linearized", "linearize"]


@dataclass(frozen=True)
class Linearized:
    """A function of flat arrays, and its gradients without its computation done again.

    Attributes:
        outputs: The abstract results of the function.
        forward: Gives the results, and then what is kept of the computation.
        needed: The positions of the inputs that the gradients are computed from.
        backward: Gives the gradients from those inputs, what is kept, and the cotangents.
    """

    outputs: tuple[jax.core.ShapedArray, ...]
    forward: Lowered
    needed: tuple[int, ...]
    backward: Lowered

    def run(self, tensors: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Returns the results, and the residuals."""
        results = self.forward(tensors)
        count = len(self.outputs)
        return results[:count], [*(tensors[index] for index in self.needed), *results[count:]]

    def gradients(
        self, residuals: Sequence[tf.Tensor], cotangents: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        """Returns the gradients of the inputs that the function is differentiated by."""
        return self.backward([*residuals, *cotangents])


def linearize(
    function: FlatCallable,
    inputs: Sequence[jax.ShapeDtypeStruct],
    free: Sequence[int],
    *,
    title: str,
    platforms: Sequence[str],
) -> Linearized | None:
    """Lowers a function and its gradients, traced once.

    Args:
        function: Takes and returns flat arrays.
        inputs: Abstract arrays; dimensions may be symbolic.
        free: The positions of those that it is differentiated by.
        title: What to name in an error.
        platforms: What it shall run on.

    Returns:
        None if the function has no gradient in JAX, or residuals that TensorFlow cannot hold.

    Raises:
        LowerModuleError: If an operation cannot run in TensorFlow (K4).
    """
    gradient = f"The gradient of {title}"
    tracing = _Tracing(function, free)
    try:
        forward = lower(tracing.forward, inputs, title=gradient, platforms=platforms)
        count = tracing.count
        # Unknown sizes are read from inputs: those of residuals may be expressions of them.
        needed = sorted(tracing.taken() | _unknown(inputs))
        outputs = forward.outputs[:count]
        cotangents = [outputs[index] for index in differentiable_positions(outputs)]
        arrays: list[Array] = [inputs[index] for index in needed]
        arrays += [*forward.outputs[count:], *cotangents]
        structs = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays]
        run = tracing.backward(needed, len(forward.outputs) - count)
        backward = lower(run, structs, title=gradient, platforms=platforms)
    except LowerModuleError:
        # What the function itself does is refused under its own name.
        lower(function, inputs, title=title, platforms=platforms)
        raise
    except NO_GRADIENT:
        return None
    return Linearized(tuple(outputs), forward, tuple(needed), backward)


def _unknown(inputs: Sequence[jax.ShapeDtypeStruct]) -> set[int]:
    return {i for i, array in enumerate(inputs) if any(map(export.is_symbolic_dim, array.shape))}


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


class _Tracing:
    """What is traced, and where the residuals of the gradients come from once `forward` is."""

    def __init__(self, function: FlatCallable, free: Sequence[int]) -> None:
        self._function, self._free = function, free
        self._structure: jax.tree_util.PyTreeDef | None = None
        self._leaves: list[_Input | _Kept | _Constant] = []
        self.count = 0

    def forward(self, *arrays: jax.Array) -> list[jax.Array]:
        outputs, vjp = differentiate(self._function, arrays, self._free)
        leaves, self._structure = jax.tree_util.tree_flatten(vjp)
        positions = {id(array): index for index, array in enumerate(arrays)}
        kept: dict[int, jax.Array] = {}
        self._leaves = [_place(leaf, positions, kept) for leaf in leaves]
        self.count = len(outputs)
        return [*outputs, *kept.values()]

    def taken(self) -> set[int]:
        return {leaf.index for leaf in self._leaves if isinstance(leaf, _Input)}

    def backward(self, needed: Sequence[int], kept: int) -> Callable[..., list[jax.Array]]:
        def gradients(*arrays: jax.Array) -> list[jax.Array]:
            inputs = dict(zip(needed, arrays, strict=False))
            residuals = arrays[len(needed) : len(needed) + kept]
            leaves = [_take(leaf, inputs, residuals) for leaf in self._leaves]
            vjp = jax.tree_util.tree_unflatten(self._structure, leaves)
            return conjugate(apply_vjp(vjp, conjugate(arrays[len(needed) + kept :])))

        return gradients


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
    leaf: _Input | _Kept | _Constant, inputs: dict[int, jax.Array], residuals: Sequence[jax.Array]
) -> Array:
    if isinstance(leaf, _Constant):
        return leaf.value
    if isinstance(leaf, _Input):
        return inputs[leaf.index]
    value = residuals[leaf.index]
    return value if leaf.impl is None else jax.random.wrap_key_data(value, impl=leaf.impl)
