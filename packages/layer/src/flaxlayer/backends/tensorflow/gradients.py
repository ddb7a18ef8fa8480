"""A lowered function with its gradient, which is lowered when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import tensorflow as tf

from flaxlayer.backends.conjugates import conjugated
from flaxlayer.backends.tensorflow.lowering import Lowered, lower
from flaxlayer.backends.tensorflow.recording import current_recording
from flaxlayer.backends.tensorflow.residuals import Linearized, linearize
from flaxlayer.backends.vjp import (
    NO_GRADIENT,
    differentiable_positions,
    stop_gradients,
    vjp_function,
    without_gradient,
)
from flaxlayer.typing import FlatCallable
from flaxlayer_core import LowerModuleError

__all__ = ["DifferentiableFunction", "TensorGradient", "as_list"]

TensorGradient: TypeAlias = Callable[..., list[tf.Tensor | None]]
"""What `tf.custom_gradient` asks for: a function of cotangents; None where there is no gradient."""


class DifferentiableFunction:
    """A function of JAX that TensorFlow runs and differentiates, to any order.

    Args:
        function: Takes and returns flat arrays.
        inputs: Abstract arrays; dimensions may be symbolic.
        title: What to name in an error.
        platforms: What it shall run on.
        keep_residuals: Whether a call keeps what its gradients need; else they compute it again.

    Raises:
        LowerModuleError: If an operation cannot run in TensorFlow (K4).
    """

    def __init__(
        self,
        function: FlatCallable,
        inputs: Sequence[jax.ShapeDtypeStruct],
        *,
        title: str,
        platforms: Sequence[str] = ("cpu",),
        keep_residuals: bool = False,
    ) -> None:
        self._function, self._inputs, self._title = function, tuple(inputs), title
        self._platforms = tuple(platforms)
        self._free = differentiable_positions(self._inputs)
        self._blocked: frozenset[int] = frozenset()
        self._missing = ""
        self._lowered = self._lower(keep_residuals=keep_residuals)
        self._bound = differentiable_positions(self._lowered.outputs)
        self._gradient: DifferentiableFunction | None = None

    def __call__(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Runs the function."""

        @tf.custom_gradient
        def run(*tensors: tf.Tensor) -> tuple[list[tf.Tensor], TensorGradient]:
            outputs, residuals = self._lowered.run(tensors)

            def gradient(*cotangents: tf.Tensor | None) -> list[tf.Tensor | None]:
                return self._apply_gradient(tensors, outputs, residuals, cotangents)

            return outputs, gradient

        if not self._free or not self._bound or current_recording() is not None:
            return self.without_gradient(tensors)
        return as_list(run(*tensors))

    def lower_gradient(self) -> DifferentiableFunction:
        """Returns the function of the inputs and of the cotangents that gives the gradients.

        It keeps nothing, so that it can be differentiated by all that it depends on.

        Raises:
            LowerModuleError: If an operation in it cannot run in TensorFlow (K4).
        """
        if self._gradient is None:
            outputs = self._lowered.outputs
            cotangents = [
                jax.ShapeDtypeStruct(outputs[index].shape, outputs[index].dtype)
                for index in self._bound
            ]
            inputs = (*self._inputs, *cotangents)
            function = stop_gradients(self._function, self._blocked)
            count = len(self._inputs)
            gradients = conjugated(vjp_function(function, count, self._free), count)
            self._gradient = DifferentiableFunction(
                gradients,
                inputs,
                title=f"The gradient of {self._title}",
                platforms=self._platforms,
            )
        return self._gradient

    def has_gradient(self) -> bool:
        """Tells whether JAX has a gradient of any result of the function, and lowers it.

        Raises:
            LowerModuleError: If an operation in it cannot run in TensorFlow (K4).
        """
        if isinstance(self._lowered, Linearized):
            return True
        if len(self._blocked) == len(self._bound):
            return False
        try:
            self.lower_gradient()
        except LowerModuleError:
            raise
        except NO_GRADIENT as error:  # as for a while_loop
            found = () if self._blocked else self._find_blocked()
            self._missing = self._missing or str(error).partition("\n")[0]
            return bool(found) and self.has_gradient()
        return True

    def _find_blocked(self) -> frozenset[int]:
        self._blocked, self._missing = without_gradient(self._function, self._inputs, self._free)
        return self._blocked

    def without_gradient(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Runs the function; a tape that asks for its gradient gets an error of TensorFlow."""
        record = current_recording()
        if record is None:
            return self._lowered.run(tensors)[0]
        outputs = self._lowered.outputs
        return record.keep(self._function, tensors, outputs=outputs, title=self._title)

    def _lower(self, *, keep_residuals: bool) -> Lowered | Linearized:
        found = self._linearize() if keep_residuals and self._free else None
        return found or lower(
            self._function, self._inputs, title=self._title, platforms=self._platforms
        )

    def _linearize(self) -> Linearized | None:
        found = self._linearized(self._function)
        if found is not None:
            return found
        bound = differentiable_positions(jax.eval_shape(self._function, *self._inputs))
        if 0 < len(self._find_blocked() if bound else ()) < len(bound):
            return self._linearized(stop_gradients(self._function, self._blocked))
        return None

    def _linearized(self, function: FlatCallable) -> Linearized | None:
        return linearize(
            function, self._inputs, self._free, title=self._title, platforms=self._platforms
        )

    def _apply_gradient(
        self,
        tensors: Sequence[tf.Tensor],
        outputs: Sequence[tf.Tensor],
        residuals: Sequence[tf.Tensor],
        cotangents: Sequence[tf.Tensor | None],
    ) -> list[tf.Tensor | None]:
        differentiable = self.has_gradient()
        # An error here would stop what only traces gradients, such as a SavedModel.
        missing = f"{self._title} has no gradient in JAX: {self._missing}"
        if not differentiable:
            with tf.control_dependencies([tf.debugging.Assert(False, [missing])]):
                return [tf.zeros_like(tensor) for tensor in tensors]
        asked = [cotangents[i] for i in sorted(self._blocked) if cotangents[i] is not None]
        unasked = [tf.reduce_all(tf.equal(cotangent, 0)) for cotangent in asked]
        with tf.control_dependencies([tf.debugging.Assert(zero, [missing]) for zero in unasked]):
            tensors = list(map(tf.identity, tensors))
        given = []
        for index in self._bound:
            cotangent = cotangents[index]
            given.append(tf.zeros_like(outputs[index]) if cotangent is None else cotangent)
        found = self._gradients([*tensors, *given], residuals)
        gradients: list[tf.Tensor | None] = [None] * len(tensors)
        for index, gradient in zip(self._free, found, strict=True):
            gradients[index] = gradient
        return gradients

    def _gradients(
        self, arguments: Sequence[tf.Tensor], residuals: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        linearized = self._lowered
        if not isinstance(linearized, Linearized):
            return self.lower_gradient()(arguments)
        count, total = len(self._inputs), len(arguments)

        # The residuals are arguments, so that no gradient passes through them: its value is
        # computed from them, its own gradient from all that they come from.
        @tf.custom_gradient
        def run(*tensors: tf.Tensor) -> tuple[list[tf.Tensor], TensorGradient]:
            found = linearized.gradients(tensors[total:], tensors[count:total])

            def gradient(*cotangents: tf.Tensor | None) -> list[tf.Tensor | None]:
                again = self.lower_gradient()._apply_gradient(
                    tensors[:total], found, (), cotangents
                )
                return [*again, *[None] * len(residuals)]

            return found, gradient

        return as_list(run(*arguments, *residuals))


def as_list(outputs: tf.Tensor | Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the results of a function that TensorFlow may have taken out of their list."""
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]
