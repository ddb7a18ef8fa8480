"""A function lowered in two: its results with residuals, and the gradients from those (K2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import tensorflow as tf
from jax import export

from flaxlayer.backends.linear_trace import LinearTrace
from flaxlayer.backends.tensorflow.lowering import Lowered, lower
from flaxlayer.backends.vjp import NO_GRADIENT, differentiable_positions
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
    trace = LinearTrace(function, free)
    try:
        forward = lower(trace.forward, inputs, title=gradient, platforms=platforms)
        count = trace.count
        # Unknown sizes are read from inputs: those of residuals may be expressions of them.
        needed = sorted(trace.taken() | _unknown(inputs))
        outputs = forward.outputs[:count]
        cotangents = [outputs[index] for index in differentiable_positions(outputs)]
        arrays: list[Array] = [inputs[index] for index in needed]
        arrays += [*forward.outputs[count:], *cotangents]
        structs = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays]
        run = _backward(trace, needed, len(forward.outputs) - count)
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


def _backward(
    trace: LinearTrace, needed: Sequence[int], kept: int
) -> Callable[..., list[jax.Array]]:
    def gradients(*arrays: jax.Array) -> list[jax.Array]:
        inputs = dict(zip(needed, arrays, strict=False))
        residuals, cotangents = arrays[len(needed) :][:kept], arrays[len(needed) + kept :]
        return trace.gradients(inputs, residuals, cotangents)

    return gradients
