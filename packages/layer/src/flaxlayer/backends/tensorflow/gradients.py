"""A lowered function with its gradient, which is lowered when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import tensorflow as tf

from flaxlayer.backends.tensorflow.lowering import lower
from flaxlayer_core import LowerModuleError

__all__ = ["DifferentiableFunction", "as_list", "inexact", "pullback"]


class DifferentiableFunction:
    """A function of JAX that TensorFlow runs and differentiates, to any order.

    Args:
        function: Takes and returns flat arrays.
        inputs: Abstract arrays; dimensions may be symbolic.
        where: What to name in an error.
        platforms: What it shall run on.

    Raises:
        LowerModuleError: If an operation cannot run in TensorFlow (K4).
    """

    def __init__(
        self,
        function: Callable[..., Sequence[Any]],
        inputs: Sequence[jax.ShapeDtypeStruct],
        *,
        where: str,
        platforms: Sequence[str] = ("cpu",),
    ) -> None:
        self._function, self._inputs, self._where = function, tuple(inputs), where
        self._platforms = tuple(platforms)
        self._lowered = lower(function, inputs, where=where, platforms=platforms)
        self._free = inexact(self._inputs)
        self._bound = inexact(self._lowered.outputs)
        self._pullback: DifferentiableFunction | None = None
        self._missing = ""

    def __call__(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Runs the function."""

        @tf.custom_gradient
        def run(*tensors: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., Any]]:
            outputs = self._lowered(tensors)

            def gradient(*cotangents: tf.Tensor | None) -> list[tf.Tensor | None]:
                return self._pull(tensors, outputs, cotangents)

            return outputs, gradient

        if not self._free or not self._bound:
            return self._lowered(tensors)
        return as_list(run(*tensors))

    def lower_gradient(self) -> DifferentiableFunction:
        """Returns the function of the inputs and of the cotangents that gives the gradients.

        Raises:
            LowerModuleError: If an operation in it cannot run in TensorFlow (K4).
        """
        if self._pullback is None:
            outputs = self._lowered.outputs
            cotangents = [
                jax.ShapeDtypeStruct(outputs[index].shape, outputs[index].dtype)
                for index in self._bound
            ]
            inputs = (*self._inputs, *cotangents)
            gradients = pullback(self._function, len(self._inputs), self._free, self._bound)
            self._pullback = DifferentiableFunction(
                gradients,
                inputs,
                where=f"The gradient of {self._where}",
                platforms=self._platforms,
            )
        return self._pullback

    def has_gradient(self) -> bool:
        """Tells whether JAX has a gradient of the function at all, and lowers it.

        Raises:
            LowerModuleError: If an operation in it cannot run in TensorFlow (K4).
        """
        try:
            self.lower_gradient()
        except LowerModuleError:
            raise
        except (NotImplementedError, TypeError, ValueError) as error:  # as for a while_loop
            self._missing = str(error).partition("\n")[0]
        return not self._missing

    def without_gradient(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Runs the function; a tape that asks for its gradient gets an error of TensorFlow."""
        return self._lowered(tensors)

    def _pull(
        self,
        tensors: Sequence[tf.Tensor],
        outputs: Sequence[tf.Tensor],
        cotangents: Sequence[tf.Tensor | None],
    ) -> list[tf.Tensor | None]:
        if not self.has_gradient():
            # An error here would stop what only traces gradients, such as a SavedModel.
            missing = f"{self._where} has no gradient in JAX: {self._missing}"
            with tf.control_dependencies([tf.debugging.Assert(False, [missing])]):
                return [tf.zeros_like(tensor) for tensor in tensors]
        given = []
        for index in self._bound:
            cotangent = cotangents[index]
            given.append(tf.zeros_like(outputs[index]) if cotangent is None else cotangent)
        found = self.lower_gradient()([*tensors, *given])
        gradients: list[tf.Tensor | None] = [None] * len(tensors)
        for index, gradient in zip(self._free, found, strict=True):
            gradients[index] = gradient
        return gradients


def pullback(
    function: Callable[..., Sequence[Any]],
    count: int,
    free: Sequence[int],
    bound: Sequence[int],
) -> Callable[..., list[Any]]:
    """Returns the function that gives the gradients of a function of JAX, in TensorFlow's sense.

    Args:
        function: Takes and returns flat arrays.
        count: How many it takes.
        free: The positions of those that it is differentiated by.
        bound: The positions of the results that have gradients.

    Returns:
        A function of all arrays and of the cotangents of the results at `bound`.
    """

    def gradients(*arrays: Any) -> list[Any]:
        inputs, cotangents = arrays[:count], arrays[count:]

        def primal(*given: Any) -> list[Any]:
            merged = list(inputs)
            for index, value in zip(free, given, strict=True):
                merged[index] = value
            outputs = function(*merged)
            return [outputs[index] for index in bound]

        _, pull = jax.vjp(primal, *(inputs[index] for index in free))
        # TensorFlow's gradients of complex functions are the conjugates of JAX's.
        return [_conjugate(gradient) for gradient in pull(list(map(_conjugate, cotangents)))]

    return gradients


def inexact(arrays: Sequence[Any]) -> tuple[int, ...]:
    """Returns the positions of the arrays that have gradients."""
    return tuple(i for i, array in enumerate(arrays) if jnp.issubdtype(array.dtype, jnp.inexact))


def _conjugate(array: Any) -> Any:
    return jnp.conj(array) if jnp.issubdtype(array.dtype, jnp.complexfloating) else array


def as_list(outputs: Any) -> list[tf.Tensor]:
    """Returns the results of a function that TensorFlow may have taken out of their list."""
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]
