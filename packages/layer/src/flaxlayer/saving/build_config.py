"""The inputs that a layer is built with, as JSON and back (S1, S3)."""

from __future__ import annotations

from collections.abc import Mapping

import jax

from flaxlayer.inputs import BuildInputs, is_shape, refusable_modes
from flaxlayer.memory import size_bound
from flaxlayer.saving.fields import check_mapping, refuse
from flaxlayer.saving.packed_arguments import decode_structure, encode_structure
from flaxlayer.saving.stored_dtypes import named_dtype
from flaxlayer.typing import DType, Json, Variables
from flaxlayer_core import (
    ArgumentStructure,
    ArraySpec,
    partition,
)

__all__ = [
    "decode_given",
    "decode_inputs",
    "encode_given",
    "encode_inputs",
]


def encode_inputs(inputs: BuildInputs | None) -> dict[str, Json] | None:
    """Returns the inputs of a build as JSON, None for a layer that is not built."""
    if inputs is None:
        return None
    arrays = [[list(spec.shape), _dtype_name(spec.dtype)] for spec in inputs.specs]
    encoded = {"arguments": encode_structure(inputs.structure), "arrays": arrays}
    return encoded if inputs.given is None else {**encoded, "given": encode_given(inputs.given)}


def encode_given(form: Variables) -> dict[str, Json] | None:
    """Returns the form of given variables as JSON.

    Args:
        form: A tree of `ShapeDtypeStruct`.

    Raises:
        EncodeModuleError: If a class in the tree, such as that of a box, cannot be stored.
    """
    arrays, structure = partition((form,), {})
    specs = [ArraySpec(tuple(array.shape), array.dtype) for array in arrays]
    return encode_inputs(BuildInputs(specs, structure, None))


def decode_given(config: Json) -> dict[str, Json]:
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
        args, kwargs = jax.eval_shape(structure.combine, arrays)
    except Exception as error:  # a class of the file may refuse what stands in it in any way
        raise refuse("given", expected="a tree of variables", found=config) from error
    if len(args) != 1 or kwargs:
        raise refuse("given", expected="one tree of variables", found=config)
    tree = check_mapping(args[0], "given")
    return {name: check_mapping(part, f"given.{name}") for name, part in tree.items()}


def _checked_names(config: Json) -> dict[str, Json]:
    stored = check_mapping(config, "given")
    if set(stored) == {"arguments", "arrays"}:
        return stored
    raise refuse("given", expected="arguments and arrays", found=sorted(stored))


def _dtype_name(dtype: DType) -> str:
    return str(getattr(dtype, "name", dtype))


def decode_inputs(config: Mapping[str, Json]) -> BuildInputs:
    """Returns what `encode_inputs` stored.

    Raises:
        DecodeModuleError: If the configuration is not of that form.
        BuildModuleError: If it has given variables that do not fit into this machine.
    """
    specs, structure = _decode_arrays(config)
    given = config.get("given")
    form = None if given is None else decode_given(given)
    either = refusable_modes(None)  # one may have been refused when the layer was built first
    return BuildInputs(specs, structure, None, given=form, refusable=either, stored=True)


def _decode_arrays(config: Mapping[str, Json]) -> tuple[list[ArraySpec], ArgumentStructure]:
    structure = decode_structure(config.get("arguments"))
    arrays, count = config.get("arrays"), structure.treedef.num_leaves - len(structure.statics)
    if not isinstance(arrays, list | tuple) or len(arrays) != count:
        raise refuse("arrays", expected=f"[shape, dtype name] for {count} arrays", found=arrays)
    return [_decode_spec(entry) for entry in arrays], structure


def _decode_spec(entry: Json) -> ArraySpec:
    if isinstance(entry, list | tuple) and len(entry) == 2:
        shape, name = entry
        dtype = named_dtype(name)
        if is_shape(shape) and dtype is not None:
            return ArraySpec(tuple(shape), dtype)
    raise refuse("arrays", expected="[shape, dtype name]", found=entry)
