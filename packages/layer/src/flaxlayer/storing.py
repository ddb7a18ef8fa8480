"""What a layer writes to files and reads back: weights by path, and the inputs of its build (W3, S3)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import keras
import numpy as np
from flaxlayer_core import (
    ArgumentStructure,
    ArraySpec,
    BuildModuleError,
    DecodeModuleError,
    MatchWeightsFileError,
    MethodCall,
    Role,
    VariableLayout,
    flatten_with_paths,
)

from flaxlayer.packing import decode_structure, encode_structure
from flaxlayer.weights import FlaxWeights

__all__ = [
    "CallInputs",
    "InitialValues",
    "arguments_from_shapes",
    "decode_inputs",
    "encode_inputs",
    "read_weights",
    "refuse_oversized",
    "write_weights",
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
    """

    specs: Sequence[ArraySpec]
    structure: ArgumentStructure
    values: Sequence[Any] | None
    called: bool = False

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
    """
    dtype = np.dtype(keras.config.floatx())

    def convert(shape: Any) -> Any:
        if _is_shape(shape):
            return ArraySpec(tuple(shape), dtype)
        if isinstance(shape, Mapping):
            return {name: convert(value) for name, value in shape.items()}
        return type(shape)(convert(value) for value in shape)

    if input_shape is None:
        return ()
    argument = convert(input_shape)
    if isinstance(argument, list | tuple) and len(argument) == _required(call) > 1:
        return tuple(argument)
    return (argument,)


def _is_shape(value: Any) -> bool:
    sequence = isinstance(value, list | tuple)
    return sequence and all(dim is None or isinstance(dim, int) for dim in value)


def _required(call: MethodCall) -> int:
    flags = {name for name, _ in call.flags}
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
    return {"arguments": encode_structure(inputs.structure), "arrays": arrays}


def _dtype_name(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))


def decode_inputs(config: Mapping[str, Any]) -> CallInputs:
    """Returns what `encode_inputs` stored.

    Raises:
        DecodeModuleError: If the configuration is not of that form.
    """
    structure = decode_structure(config["arguments"])
    arrays = config.get("arrays")
    if not isinstance(arrays, list) or len(arrays) != _array_count(structure):
        raise _refused(f"arrays={arrays!r}")
    return CallInputs([_decode_spec(entry) for entry in arrays], structure, None)


def _array_count(structure: ArgumentStructure) -> int:
    return structure.treedef.num_leaves - len(structure.statics)


def _decode_spec(entry: Any) -> ArraySpec:
    if not (isinstance(entry, list | tuple) and len(entry) == 2):
        raise _refused(repr(entry))
    shape, name = entry
    plain = isinstance(shape, list | tuple) and len(shape) <= _MAX_RANK and isinstance(name, str)
    if not plain or not all(dim is None or (type(dim) is int and dim >= 0) for dim in shape):
        raise _refused(repr(entry))
    try:
        dtype = jax.numpy.dtype(name)
    except TypeError:
        raise _refused(repr(entry)) from None
    return ArraySpec(tuple(shape), dtype)


def _refused(found: str) -> DecodeModuleError:
    return DecodeModuleError(
        "The stored inputs of a FlaxLayer are refused.",
        expected="a list of [shape, dtype name], one for each array of the call",
        found=found[:200],
        fix="Save the model again with FlaxLayer.",
        law="S3",
    )


def refuse_oversized(layout: VariableLayout, *, where: str) -> None:
    """Refuses a stored configuration whose variables would not fit into this machine (S3).

    Raises:
        BuildModuleError: Before anything is allocated.
    """
    total = sum(spec.nbytes for spec in layout.specs)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total > memory:
        raise BuildModuleError(
            f"{where} is refused: its stored configuration asks for too much memory.",
            expected=f"at most {memory:,} bytes, the memory of this machine",
            found=f"{total:,} bytes",
            fix="Do not load the file, or load it on a machine that holds it.",
            law="S3",
        )


# Weights files.


def store_key(path: Sequence[str]) -> str:
    """Returns the key of a variable in a weights file: one flat name, never a path (S3)."""
    return ".".join(part.replace("%", "%25").replace(".", "%2E").replace("/", "%2F") for part in path)


def write_weights(weights: FlaxWeights, store: Any) -> None:
    """Writes variables by path (W3)."""
    for path, variable in weights.by_path().items():
        store[store_key(path)] = variable


def read_weights(weights: FlaxWeights | None, store: Any, *, where: str) -> None:
    """Reads variables by path, or by order from a file of `keras.layers.FlaxLayer` (W3).

    Args:
        weights: The variables, None for a layer that is not built.
        store: What the file has for the layer.
        where: What to name in an error.

    Raises:
        MatchWeightsFileError: If names or shapes differ; nothing is changed then.
    """
    keys = list(store.keys())
    variables = {} if weights is None else _by_key(weights, keys)
    missing = sorted(set(variables) - set(keys))
    extra = sorted(set(keys) - set(variables))
    problems = [f"missing {key}" for key in missing] + [f"extra {key}" for key in extra]
    values = {key: store[key] for key in variables if key in store}
    problems += [
        f"{key} has shape {list(value.shape)}, not {list(variables[key].shape)}"
        for key, value in values.items()
        if tuple(value.shape) != tuple(variables[key].shape)
    ]
    if problems:
        raise MatchWeightsFileError(
            f"{where} does not find its variables in the weights file.",
            expected=", ".join(sorted(variables)) or "nothing: the layer is not built",
            found="; ".join(problems),
            fix="Load a file of the same module, built for the same inputs.",
            law="W3",
        )
    for key, variable in variables.items():
        variable.assign(values[key])


def _by_key(weights: FlaxWeights, keys: Sequence[str]) -> dict[str, keras.Variable]:
    if keys and all(key.isdigit() for key in keys):
        # The reference numbers params first, then state, each in the order of the tree.
        trees = (weights.tree(Role.TRAINABLE), weights.tree(Role.STATE))
        ordered = itertools.chain.from_iterable(map(jax.tree_util.tree_leaves, trees))
        return {str(index): variable for index, variable in enumerate(ordered)}
    return {store_key(path): variable for path, variable in weights.by_path().items()}
