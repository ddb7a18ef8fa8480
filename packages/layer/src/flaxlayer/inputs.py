"""The inputs of a build and of a call: described arrays, and arguments from shapes (B1, A10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import keras
import numpy as np

from flaxlayer.backends import current_backend
from flaxlayer.backends.dtypes import number_spec
from flaxlayer.typing import Args, Array, DType, PyTree, Shape, Variables
from flaxlayer_core import (
    ArgumentStructure,
    ArraySpec,
    BuildModuleError,
    MethodSignature,
    is_array,
    partition,
    shorten,
)

__all__ = [
    "BuildInputs",
    "arguments_from_shapes",
    "array_specs",
    "arrays_of",
    "by_place",
    "constant",
    "inputs_from_shapes",
    "is_shape",
    "keras_tensor",
    "refusable_modes",
]

_MAX_RANK = 32


@dataclass(frozen=True)
class BuildInputs:
    """The inputs of a build.

    Attributes:
        specs: Shapes and dtypes of the arrays.
        structure: The static side of the call.
        values: The arrays themselves, where they are at hand.
        called: Whether a call follows, with the same inputs.
        given: The form of the variables that were given, None where none were (B4).
        guessed: Whether the dtypes are only supposed, as where shapes are all that is known (A10).
        refusable: The modes that the module may refuse for such inputs: not that of the call.
        stored: Whether they come from a file, so that nothing is allocated for them unchecked (S3).
    """

    specs: Sequence[ArraySpec]
    structure: ArgumentStructure
    values: Sequence[Array] | None
    called: bool = False
    given: Variables | None = None
    guessed: bool = False
    refusable: frozenset[bool] = frozenset()
    stored: bool = False

    @property
    def dtypes(self) -> list[Array]:
        """The dtypes of the arrays."""
        return [spec.dtype for spec in self.specs]

    def with_dtypes(self, dtypes: Sequence[DType] | None) -> BuildInputs:
        """Returns inputs of the same shapes with other dtypes, without values; None: themselves."""
        if dtypes is None:
            return self
        specs = [
            ArraySpec(spec.shape, dtype) for spec, dtype in zip(self.specs, dtypes, strict=True)
        ]
        return replace(self, specs=specs, values=None)

    def allows(self, inputs: BuildInputs) -> bool:
        """Tells whether a call with such inputs agrees with what was supposed here.

        Where only shapes are known of a call itself, its dtype of Keras's default says nothing.
        """
        floatx = np.dtype(keras.config.floatx())
        return all(
            known == found or (inputs.guessed and found == floatx)
            for known, found in zip(self.dtypes, inputs.dtypes, strict=True)
        )

    def corrected(self, inputs: BuildInputs) -> BuildInputs:
        """Returns these inputs with the dtypes of a call: its sizes may be of one step alone."""
        ranks = [len(spec.shape) for spec in self.specs] == [len(s.shape) for s in inputs.specs]
        return replace(inputs, specs=self.with_dtypes(inputs.dtypes).specs) if ranks else inputs

    def without_values(self) -> BuildInputs:
        """Returns the inputs without their arrays."""
        return replace(self, values=None, called=False, refusable=frozenset())


def refusable_modes(training: bool | None) -> frozenset[bool]:
    """Returns the modes that a call does not need: either one where Keras is to say (A2)."""
    return frozenset({True, False} if training is None else {not training})


def inputs_from_shapes(input_shape: Shape, call: MethodSignature) -> BuildInputs:
    """Returns the inputs of a build from shapes alone: their dtypes are supposed (A10).

    Either mode may be refused, as nothing says which is meant.

    Args:
        input_shape: A shape, or a structure of shapes.
        call: The method of the layer.

    Raises:
        BuildModuleError: If it is no structure of shapes.
    """
    arrays, structure = partition(arguments_from_shapes(input_shape, call), {})
    either = refusable_modes(None)
    return BuildInputs(array_specs(arrays), structure, None, guessed=True, refusable=either)


def arguments_from_shapes(input_shape: Shape, call: MethodSignature) -> Args:
    """Makes abstract arguments from the shapes that `Layer.build` takes.

    Args:
        input_shape: A shape, or a structure of shapes.
        call: The method of the layer.

    Returns:
        Positional arguments: one, or one for each shape where the method needs as many arrays.

    Raises:
        BuildModuleError: If it is no structure of shapes.
    """
    dtype = np.dtype(keras.config.floatx())

    def convert(shape: Shape) -> Any:
        if is_shape(shape):
            return ArraySpec(tuple(shape), dtype)
        if isinstance(shape, Mapping):
            return {name: convert(value) for name, value in shape.items()}
        if isinstance(shape, list | tuple):
            return type(shape)(convert(value) for value in shape)
        raise _no_shape(shape)

    if input_shape is None:
        return ()
    argument = convert(input_shape)
    if isinstance(argument, list | tuple) and len(argument) == _required(call) > 1:
        return tuple(argument)
    return (argument,)


def _no_shape(found: object) -> BuildModuleError:
    return BuildModuleError(
        "A layer cannot be built from this input shape.",
        expected="a shape, or lists and dicts of shapes: tuples of sizes, None for an unknown one",
        found=shorten(found),
        fix="Call the layer on data, which builds it too.",
        law="B1",
    )


def is_shape(value: Shape) -> bool:
    """Tells whether a value is a shape: a sequence of sizes, None for an unknown one."""
    sequence = isinstance(value, list | tuple) and len(value) <= _MAX_RANK
    return sequence and all(map(_is_dim, value))


def _required(call: MethodSignature) -> int:
    flags = {name for name, _ in call.flags} | {argument.name for argument in call.keys}
    return sum(
        parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for name, parameter in call.signature.parameters.items()
        if name not in flags
    )


def _is_dim(value: object) -> bool:
    return value is None or (type(value) is int and 0 <= value < 2**31)


def array_specs(arrays: Sequence[Array]) -> list[ArraySpec]:
    """Describes arrays, Keras tensors or `ShapeDtypeStruct` as build and discovery take them."""
    describe = current_backend().describe
    return [
        number_spec(array) if type(array) in (float, complex) else describe(array)
        for array in arrays
    ]


def constant(array: Any) -> Any:
    """Returns a value, such as the data of a key, as Keras can store it in a model."""
    if isinstance(array, jax.core.Tracer):
        return array
    array = current_backend().passed_on(array)
    # What JAX holds means nothing to TensorFlow, and Keras stores a scalar of NumPy without dtype.
    scalar = isinstance(array, np.ndarray | np.generic) and array.ndim == 0
    return keras.ops.convert_to_tensor(array) if scalar or isinstance(array, jax.Array) else array


def keras_tensor(spec: Any) -> Any:
    """Returns a Keras tensor for an `ArraySpec`, anything else as it is."""
    return keras.KerasTensor(spec.shape, spec.dtype) if isinstance(spec, ArraySpec) else spec


def arrays_of(outputs: PyTree) -> list[Array]:
    """Returns the arrays of any pytree of outputs."""
    return [leaf for leaf in jax.tree_util.tree_leaves(outputs) if is_array(leaf)]


def by_place(
    specs: Sequence[ArraySpec],
    arrays: Sequence[Array],
    structure: ArgumentStructure,
    method: MethodSignature,
) -> dict[str, ArraySpec]:
    """Returns the arrays of a call by their places in its arguments, as one would write them.

    Args:
        specs: Their shapes and dtypes.
        arrays: The arrays themselves, or what describes them.
        structure: The static side of the arguments.
        method: The method that is called, whose arguments have names.
    """
    parameters = method.signature.parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "args")
    extra = range(structure.positional - len(names))
    places = structure.places(arrays, [*names, *(f"{rest}[{index}]" for index in extra)])
    return dict(zip(places, specs, strict=True))
