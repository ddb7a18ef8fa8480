"""A function of Keras on JAX as one of TensorFlow, which needs neither of them to run (S4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import keras
import tensorflow as tf

from flaxlayer.backends.flat_functions import FlatFunction
from flaxlayer.backends.tensorflow.forms import first_form
from flaxlayer.backends.tensorflow.gradients import DifferentiableFunction
from flaxlayer.backends.tensorflow.tensors import describe, to_tensor
from flaxlayer.exports.endpoint_signatures import input_specs
from flaxlayer.typing import Array, InputSignature, PyTree, TensorFlowFunction
from flaxlayer_core import ArraySpec, ExportModelError, LowerModuleError, NoSizeFitsError

__all__ = ["HeldVariable", "StatelessResult", "stateless", "tensor_specs", "tensorflow_function"]

# A variable of Keras and the one of TensorFlow that stands for it in what is served.
HeldVariable = tuple[keras.Variable, tf.Variable]


def tensor_specs(input_signature: InputSignature) -> InputSignature:
    """Returns a structure of `tf.TensorSpec`; see `input_specs`."""
    return keras.tree.map_structure(
        lambda spec: tf.TensorSpec(spec.shape, spec.dtype, name=spec.name),
        input_specs(input_signature),
    )


def tensorflow_function(
    function: Callable[..., PyTree],
    signature: InputSignature,
    held: Sequence[HeldVariable],
    *,
    is_static: bool,
    platforms: Sequence[str],
    title: str,
) -> TensorFlowFunction:
    """Returns a `tf.function` that runs what a function of Keras computes.

    Args:
        function: Takes arrays; it may read and change variables.
        signature: The `tf.TensorSpec`s of its positional arguments, nested as they are.
        held: The variables that stay variables; the values of others are constants.
        is_static: Whether nothing is assigned.
        platforms: What it shall run on.
        title: What to name in an error.

    Returns:
        The function, traced once. What `function` assigns to the variables, it assigns.

    Raises:
        LowerModuleError: If TensorFlow cannot run an operation in it (K4).
        ExportModelError: If it cannot be traced for inputs of unknown size.
    """
    run = stateless(function, [variable for variable, _ in held])
    pure = _without_changes(run) if is_static else run
    variables = [variable for _, variable in held]
    lowered = _LoweredFunction(pure, signature, variables, platforms=platforms, title=title)
    served = tf.function(lowered, input_signature=signature, autograph=False)
    served.get_concrete_function()
    return served


@dataclass(frozen=True, eq=False)
class StatelessResult:
    """What a function gave that changes nothing; a pytree of its fields.

    Attributes:
        outputs: What it returned.
        changed: What it would have assigned to variables, by position.
    """

    outputs: PyTree
    changed: dict[int, Array]


jax.tree_util.register_dataclass(
    StatelessResult, data_fields=["outputs", "changed"], meta_fields=[]
)


def stateless(
    function: Callable[..., PyTree], variables: Sequence[keras.Variable]
) -> Callable[..., StatelessResult]:
    """Returns a function of the variables' values, and of what the function takes.

    Args:
        function: Takes arrays; it may read and change variables.
        variables: The variables whose values it is given.

    Returns:
        A function that returns the outputs, and new values by position in `variables`.
    """

    def run(values: Sequence[Array], *args: PyTree) -> StatelessResult:
        with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)) as scope:
            before = list(map(scope.get_current_value, variables))
            outputs = function(*args)
            after = list(map(scope.get_current_value, variables))
        pairs = enumerate(zip(before, after, strict=True))
        return StatelessResult(outputs, {i: new for i, (old, new) in pairs if new is not old})

    return run


def _without_changes(run: Callable[..., StatelessResult]) -> Callable[..., StatelessResult]:
    return lambda values, *args: StatelessResult(run(values, *args).outputs, {})


class _LoweredFunction:
    def __init__(
        self,
        pure: Callable[..., StatelessResult],
        signature: InputSignature,
        variables: Sequence[tf.Variable],
        *,
        platforms: Sequence[str],
        title: str,
    ) -> None:
        self._variables, count = variables, len(variables)

        def run(*arrays: Array) -> StatelessResult:
            return pure(arrays[:count], *tf.nest.pack_sequence_as(signature, arrays[count:]))

        self._flat = FlatFunction(run)
        specs = list(map(describe, [*self._variables, *tf.nest.flatten(signature)]))

        def lower(form: Sequence[jax.ShapeDtypeStruct]) -> DifferentiableFunction:
            return DifferentiableFunction(self._flat, form, title=title, platforms=platforms)

        try:
            function = first_form(specs, lower)
        except NoSizeFitsError as error:
            raise _refusal(title, specs, error) from error
        self._run = function if _has_gradient(function) else function.without_gradient

    def __call__(self, *args: PyTree) -> PyTree:
        tensors = map(to_tensor, [*self._variables, *tf.nest.flatten(args)])
        result = self._flat.assemble(self._run(list(tensors)))
        for index, value in result.changed.items():
            variable = self._variables[index]
            variable.assign(tf.cast(value, variable.dtype))
        return result.outputs


def _has_gradient(function: DifferentiableFunction) -> bool:
    try:
        return function.has_gradient()
    except LowerModuleError:  # what is served is for inference first
        return False


def _refusal(title: str, specs: Sequence[ArraySpec], error: Exception) -> ExportModelError:
    unknown = [str(spec) for spec in specs if spec.unknown_axes]
    return ExportModelError(
        f"{title} cannot be exported for inputs of unknown size.",
        expected="a model that JAX can trace for any size",
        found=f"{', '.join(unknown)}: {error}",
        fix="Give the sizes: input_signature=[keras.InputSpec(shape=..., dtype=...)].",
        law="S4",
    )
