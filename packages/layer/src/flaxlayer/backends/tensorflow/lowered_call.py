"""A layer's call as a function of tensors: lowered once for each form of its inputs (K2)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import jax
import numpy as np
import tensorflow as tf

from flaxlayer.backends.flat_functions import FlatFunction
from flaxlayer.backends.tensorflow.forms import first_form, tied_axes
from flaxlayer.backends.tensorflow.gradients import DifferentiableFunction
from flaxlayer.backends.tensorflow.op_by_op import OpByOpCall, with_seed_of
from flaxlayer.backends.tensorflow.recording import current_recording
from flaxlayer.backends.tensorflow.tensors import describe, to_tensor
from flaxlayer.compat.jax_tracing import TraceContext, jit_is_disabled, trace_context
from flaxlayer.program import CallResult, PureCall
from flaxlayer.recently_used import RecentlyUsed
from flaxlayer.typing import Array, BackendArray
from flaxlayer_core import ArraySpec, LowerModuleError, NoSizeFitsError, abstract_inputs

__all__ = ["LoweredCall"]

_Form: TypeAlias = tuple[tuple[ArraySpec, ...], TraceContext]
_SEED = ArraySpec((2,), np.dtype("uint32"))


class LoweredCall:
    """A call that runs in TensorFlow, eagerly and in any `tf.function`.

    Eagerly under `jax.disable_jit` it runs op by op in JAX.

    Args:
        pure: The call as a pure function of arrays of JAX.
    """

    def __init__(self, pure: PureCall) -> None:
        self._pure = pure
        self._lowered: RecentlyUsed[_Form, _LoweredForm] = RecentlyUsed()

    def __call__(
        self, values: Sequence[BackendArray], seed: BackendArray, arrays: Sequence[BackendArray]
    ) -> CallResult:
        """Runs the call; see `PureCall.__call__`.

        Raises:
            LowerModuleError: If an operation cannot run in TensorFlow, or none of the ways to read
                unknown dimensions suits the module (K4).
        """
        if jit_is_disabled() and tf.executing_eagerly():  # A6
            return OpByOpCall(self._pure)(values, seed, arrays)
        seeds = [] if seed is None else [tf.cast(seed, tf.uint32)]
        tensors = [*map(to_tensor, values), *map(to_tensor, arrays), *seeds]
        specs = [*map(describe, tensors[: len(values)]), *map(describe, arrays)]
        specs += map(describe, seeds)
        try:
            lowered = self._lower(specs, len(values))
        except NoSizeFitsError as error:
            raise self._refusal(specs[len(values) :], error) from error
        return with_seed_of(lowered(tensors), seed)

    def preflight(
        self, values: Sequence[ArraySpec], arrays: Sequence[ArraySpec], *, gradient: bool
    ) -> None:
        """Lowers the call for such inputs, or for some sizes of their unknown dimensions (K4).

        Args:
            values: The stored values.
            arrays: The arrays of the arguments.
            gradient: Whether to lower the gradient too.

        Raises:
            LowerModuleError: If an operation cannot run in TensorFlow.
        """
        specs = [*values, *arrays, *([_SEED] if self._pure.plan.streams else [])]
        # Calls of known sizes may be all that the layer is meant for.
        for choice in (specs, *_sized(specs)):
            with contextlib.suppress(NoSizeFitsError):
                lowered = self._lower(choice, len(values))
                if gradient:
                    lowered.function.has_gradient()  # a module without one is for inference
                return

    def _lower(self, specs: Sequence[ArraySpec], count: int) -> _LoweredForm:
        key = (tuple(specs), trace_context())
        lowered = self._lowered.get(key)
        if lowered is None:
            lowered = first_form(specs, lambda form: _LoweredForm(self._pure, form, count))
            self._lowered[key] = lowered
        return lowered

    def _refusal(self, specs: Sequence[ArraySpec], error: Exception) -> LowerModuleError:
        unknown = [str(spec) for spec in specs if spec.unknown_axes]
        return LowerModuleError(
            f"{self._pure.module_call.title} cannot run on inputs of unknown size on the "
            "TensorFlow backend.",
            expected="a module that JAX can trace for any size",
            found=f"{', '.join(unknown)}: {error}",
            fix="Give the sizes: keras.Input(batch_shape=...), a tf.data pipeline with "
            "batch(..., drop_remainder=True), or compile(run_eagerly=True).",
            law="K4",
        )


class _LoweredForm:
    def __init__(self, pure: PureCall, form: Sequence[jax.ShapeDtypeStruct], count: int) -> None:
        self._title, self._tied, self._count = pure.module_call.title, tied_axes(form), count
        seeded = bool(pure.plan.streams)

        def run(*arrays: Array) -> CallResult:
            values, rest = arrays[:count], arrays[count:]
            seed, given = (rest[-1], rest[:-1]) if seeded else (None, rest)
            return pure(values, seed, given)

        self._flat = FlatFunction(run)
        self.function = DifferentiableFunction(
            self._flat,
            form,
            title=self._title,
            platforms=pure.platforms,
            keep_residuals=pure.plan.training,
        )

    def __call__(self, tensors: Sequence[tf.Tensor]) -> CallResult:
        if self._tied and current_recording() is None:
            with tf.control_dependencies(self._checks(tensors)):
                tensors = list(map(tf.identity, tensors))
        return self._flat.assemble(self.function(tensors))

    def _checks(self, tensors: Sequence[tf.Tensor]) -> list[tf.Operation]:
        # K4: else XLA says it, in words of its own.
        checks = []
        for (first, axis), *others in self._tied:
            size = tf.shape(tensors[first])[axis]
            for position, other in others:
                checks.append(
                    tf.debugging.assert_equal(
                        tf.shape(tensors[position])[other],
                        size,
                        f"{self._title} was traced on the TensorFlow backend for equal sizes: axis "
                        f"{axis} of array {first - self._count} and axis {other} of array "
                        f"{position - self._count} of its inputs, which are not known before. It "
                        "cannot be traced for different ones. Give the sizes: "
                        "keras.Input(batch_shape=...), or compile(run_eagerly=True). Law: K4",
                    )
                )
        return [check for check in checks if check is not None]


def _sized(specs: Sequence[ArraySpec]) -> Iterator[list[ArraySpec]]:
    for inputs in abstract_inputs(specs):
        if inputs.resized:
            yield list(map(describe, inputs.arrays))
