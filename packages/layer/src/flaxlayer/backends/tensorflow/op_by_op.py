"""A module that branches on values: it runs op by op in JAX, on eager tensors (A6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import tensorflow as tf

from flaxlayer.backends.conjugates import conjugated
from flaxlayer.backends.flat_functions import FlatFunction
from flaxlayer.backends.tensorflow.gradients import TensorGradient, as_list
from flaxlayer.backends.tensorflow.tensors import to_jax, to_tensor
from flaxlayer.backends.vjp import differentiable_positions, vjp_function
from flaxlayer.program import CallResult, PureCall
from flaxlayer.typing import Array, BackendArray, FlatCallable
from flaxlayer_core import LowerModuleError

__all__ = ["OpByOpCall", "with_seed_of"]


class OpByOpCall:
    """A call that needs the values of its inputs.

    Args:
        pure: The call as a pure function of arrays of JAX.

    Raises:
        LowerModuleError: If TensorFlow is tracing: then there are no values (K4).
    """

    def __init__(self, pure: PureCall) -> None:
        if not tf.executing_eagerly():
            raise LowerModuleError(
                f"{pure.module_call.title} cannot run in a tf.function.",
                expected="a module that JAX can trace",
                found="a module that branches on values",
                fix="Use compile(run_eagerly=True), or write it with jax.lax.cond.",
                law="K4",
            )
        self._pure = pure

    def __call__(
        self, values: Sequence[BackendArray], seed: BackendArray, arrays: Sequence[BackendArray]
    ) -> CallResult:
        """Runs the call; see `PureCall.__call__`."""
        count = len(values)
        seeded = None if seed is None else to_jax(seed).astype(jnp.uint32)

        numbers = {i: value for i, value in enumerate(arrays) if type(value) in (float, complex)}

        def run(*given: Array) -> CallResult:
            inputs = [numbers.get(index, value) for index, value in enumerate(given[count:])]
            return self._pure(given[:count], seeded, inputs)

        flat = FlatFunction(run)
        tensors = [*map(to_tensor, values), *map(to_tensor, arrays)]
        leaves = as_list(_run(flat)(*tensors))
        return with_seed_of(flat.assemble(leaves), seed)


def with_seed_of(result: CallResult, seed: BackendArray) -> CallResult:
    """Returns the result of a call with its next seed in the dtype of the one that it got."""
    if result.seed is None:
        return result
    return replace(result, seed=tf.cast(result.seed, seed.dtype))


def _run(flat: FlatCallable) -> Callable[..., tf.Tensor | list[tf.Tensor]]:
    @tf.custom_gradient
    def run(*tensors: tf.Tensor) -> tuple[list[tf.Tensor], TensorGradient]:
        given = list(map(to_jax, tensors))
        results = flat(*given)

        def gradient(*cotangents: tf.Tensor) -> list[tf.Tensor | None]:
            free, bound = differentiable_positions(given), differentiable_positions(results)
            gradients = conjugated(vjp_function(flat, len(given), free), len(given))
            found: list[tf.Tensor | None] = [None] * len(given)
            values = gradients(*given, *(to_jax(cotangents[index]) for index in bound))
            for index, value in zip(free, values, strict=True):
                found[index] = to_tensor(value)
            return found

        return [tf.convert_to_tensor(np.asarray(result)) for result in results], gradient

    function: Callable[..., tf.Tensor | list[tf.Tensor]] = run
    return function
