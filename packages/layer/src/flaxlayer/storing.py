"""The inputs that a layer is built with, as JSON and back (S1, S3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import keras
import numpy as np

from flaxlayer.checking import check_mapping, refuse
from flaxlayer.memory import size_bound
from flaxlayer.packing import decode_structure, encode_structure
from flaxlayer.stored_dtypes import named_dtype
from flaxlayer_core import (
    ArgumentStructure,
    ArraySpec,
    BuildModuleError,
    MethodCall,
    flatten_with_paths,
    split_arguments,
)
from flaxlayer_core.config import shorten

__all__ = [
    "CallInputs",
    "InitialValues",
    "arguments_from_shapes",
    "decode_given",
    "decode_inputs",
    "encode_given",
    "encode_inputs",
]

_MAX_RANK = 32


@dataclass(frozen=True)
class CallInputs:
    """The inputs of a build.

    Attributes:
        specs: Shapes and dtypes of the arrays.
        structure: The static side of the call.
        values: The arrays themselves, where they are at hand.
        called: Whether a call follows, with the same inputs.
        given: The form of the variables that were given, None where none were (B4).
        guessed: Whether the dtypes are only supposed, as where shapes are all that is known (A10).
        stored: Whether they come from a file, so that nothing is allocated for them unchecked (S3).
    """

    specs: Sequence[ArraySpec]
    structure: ArgumentStructure
    values: Sequence[Any] | None
    called: bool = False
    given: Mapping[str, Any] | None = None
    guessed: bool = False
    stored: bool = False

    @property
    def dtypes(self) -> list[Any]:
        """The dtypes of the arrays."""
        return [spec.dtype for spec in self.specs]

    def with_dtypes(self, dtypes: Sequence[Any] | None) -> CallInputs:
        """Returns inputs of the same shapes with other dtypes, without values; None: themselves."""
        if dtypes is None:
            return self
        specs = [
            ArraySpec(spec.shape, dtype) for spec, dtype in zip(self.specs, dtypes, strict=True)
        ]
        return replace(self, specs=specs, values=None)

    def allows(self, inputs: CallInputs) -> bool:
        """Tells whether a call with such inputs agrees with what was supposed here.

        Where only shapes are known of a call itself, its dtype of Keras's default says nothing.
        """
        floatx = np.dtype(keras.config.floatx())
        return all(
            known == found or (inputs.guessed and found == floatx)
            for known, found in zip(self.dtypes, inputs.dtypes, strict=True)
        )

    def corrected(self, inputs: CallInputs) -> CallInputs:
        """Returns these inputs with the dtypes of a call: its sizes may be of one step alone."""
        ranks = [len(spec.shape) for spec in self.specs] == [len(s.shape) for s in inputs.specs]
        return replace(inputs, specs=self.with_dtypes(inputs.dtypes).specs) if ranks else inputs

    def without_values(self) -> CallInputs:
        """Returns the inputs without their arrays."""
        return replace(self, values=None, called=False)


class InitialValues:
    """Initial arrays in the order of a layout, made at the first request and only once.

    Args:
        make: Returns the tree of initial values.
    """

    def __init__(self, make: Callable[[], Mapping[str, Any]]) -> None:
        self._make = make
        self._leaves: list[Any] | None = None

    def __call__(self) -> list[Any]:
        """Returns the arrays."""
        if self._leaves is None:
            self._leaves = [leaf for _, leaf in flatten_with_paths(dict(self._make()))[0]]
        return self._leaves


def arguments_from_shapes(input_shape: Any, call: MethodCall) -> tuple[Any, ...]:
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

    def convert(shape: Any) -> Any:
        if _is_shape(shape):
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


def _no_shape(found: Any) -> BuildModuleError:
    return BuildModuleError(
        "A layer cannot be built from this input shape.",
        expected="a shape, or lists and dicts of shapes: tuples of sizes, None for an unknown one",
        found=shorten(found),
        fix="Call the layer on data, which builds it too.",
        law="B1",
    )


def _is_shape(value: Any) -> bool:
    sequence = isinstance(value, list | tuple) and len(value) <= _MAX_RANK
    return sequence and all(map(_is_dim, value))


def _required(call: MethodCall) -> int:
    flags = {name for name, _ in call.flags} | {argument.name for argument in call.keys}
    return sum(
        parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for name, parameter in call.signature.parameters.items()
        if name not in flags
    )


def encode_inputs(inputs: CallInputs | None) -> dict[str, Any] | None:
    """Returns the inputs of a build as JSON, None for a layer that is not built."""
    if inputs is None:
        return None
    arrays = [[list(spec.shape), _dtype_name(spec.dtype)] for spec in inputs.specs]
    encoded = {"arguments": encode_structure(inputs.structure), "arrays": arrays}
    return encoded if inputs.given is None else {**encoded, "given": encode_given(inputs.given)}


def encode_given(form: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the form of given variables as JSON.

    Args:
        form: A tree of `ShapeDtypeStruct`.

    Raises:
        EncodeModuleError: If a class in the tree, such as that of a box, cannot be stored.
    """
    arrays, structure = split_arguments((form,), {})
    specs = [ArraySpec(tuple(array.shape), array.dtype) for array in arrays]
    return encode_inputs(CallInputs(specs, structure, None))


def decode_given(config: Any) -> dict[str, Any]:
    """Returns what `encode_given` stored.

    Raises:
        DecodeModuleError: If the configuration is not of that form.
        BuildModuleError: If such variables do not fit into this machine.
    """
    specs, structure = _decode_arrays(_checked_names(config))
    if structure.statics or any(spec.unknown_axes for spec in specs):
        raise refuse("given", expected="arrays of known shapes alone", found=config)
    size_bound("A layer").check_described(specs)
    arrays = [jax.ShapeDtypeStruct(spec.shape, spec.dtype) for spec in specs]
    try:
        args, kwargs = jax.eval_shape(structure.merge, arrays)
    except Exception as error:  # a class of the file may refuse what stands in it in any way
        raise refuse("given", expected="a tree of variables", found=config) from error
    if len(args) != 1 or kwargs:
        raise refuse("given", expected="one tree of variables", found=config)
    tree = check_mapping(args[0], "given")
    return {name: check_mapping(part, f"given.{name}") for name, part in tree.items()}


def _checked_names(config: Any) -> dict[str, Any]:
    stored = check_mapping(config, "given")
    if set(stored) == {"arguments", "arrays"}:
        return stored
    raise refuse("given", expected="arguments and arrays", found=sorted(stored))


def _dtype_name(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))


def decode_inputs(config: Mapping[str, Any]) -> CallInputs:
    """Returns what `encode_inputs` stored.

    Raises:
        DecodeModuleError: If the configuration is not of that form.
        BuildModuleError: If it has given variables that do not fit into this machine.
    """
    specs, structure = _decode_arrays(config)
    given = config.get("given")
    form = None if given is None else decode_given(given)
    return CallInputs(specs, structure, None, given=form, stored=True)


def _decode_arrays(config: Mapping[str, Any]) -> tuple[list[ArraySpec], ArgumentStructure]:
    structure = decode_structure(config.get("arguments"))
    arrays, count = config.get("arrays"), structure.treedef.num_leaves - len(structure.statics)
    if not isinstance(arrays, list | tuple) or len(arrays) != count:
        raise refuse("arrays", expected=f"[shape, dtype name] for {count} arrays", found=arrays)
    return [_decode_spec(entry) for entry in arrays], structure


def _decode_spec(entry: Any) -> ArraySpec:
    if isinstance(entry, list | tuple) and len(entry) == 2:
        shape, name = entry
        dtype = named_dtype(name)
        if _is_shape(shape) and dtype is not None:
            return ArraySpec(tuple(shape), dtype)
    raise refuse("arrays", expected="[shape, dtype name]", found=entry)


def _is_dim(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value < 2**31)
