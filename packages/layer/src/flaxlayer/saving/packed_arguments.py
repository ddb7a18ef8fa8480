"""Calls that Keras's own argument handling cannot carry: statics and foreign pytrees (A1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras

from flaxlayer.backends.flat_functions import Flattening
from flaxlayer.saving.fields import check_mapping, refuse
from flaxlayer.saving.names import name_in_keras, resolve_name
from flaxlayer.saving.refusals import refusing
from flaxlayer.saving.stored_rngs import register_rngs
from flaxlayer.typing import Args, Json, Kwargs, PyTree
from flaxlayer_core import (
    ArgumentStructure,
    KeyData,
    decode_value,
    encode_value,
    exchange_leaves,
    has_parts,
    is_array,
    register,
    take_apart,
    unwrap_statics,
)

__all__ = [
    "PackedArguments",
    "decode_structure",
    "encode_structure",
    "needs_packing",
]


@register(package="flaxlayer", name="Slot")
@dataclass(frozen=True)
class Slot:
    """Where an array stands in stored arguments.

    Attributes:
        index: Its position among the arrays.
    """

    index: int


register(KeyData, package="flaxlayer", name="KeyData")
register_rngs()


def encode_structure(structure: ArgumentStructure) -> Json:
    """Returns the static side of a call as JSON.

    Args:
        structure: What `partition` returned.

    Returns:
        Plain JSON values.

    Raises:
        EncodeModuleError: If a static value cannot be stored.
    """
    stored = _with_slots(structure)
    return encode_value(stored, path="arguments", namer=name_in_keras, resolve=resolve_name)


def _with_slots(structure: ArgumentStructure) -> Json:
    count = structure.treedef.num_leaves - len(structure.statics)
    slots = [Slot(index) for index in range(count)]
    # A class of the user's may look at what it is made of: arrays.
    arrays = [jnp.zeros(()) for _ in slots]
    filled = exchange_leaves(structure.unflatten(arrays), arrays, slots)
    return structure.combine(slots) if filled is None else filled


def decode_structure(config: Json) -> ArgumentStructure:
    """Returns what `encode_structure` stored.

    Args:
        config: Plain JSON values.

    Returns:
        The static side of a call.

    Raises:
        DecodeModuleError: If the configuration is refused.
    """
    call = decode_value(config, path="arguments", resolve=resolve_name)
    with refusing("the arguments of a call"):
        return _as_structure(call, config)


def _as_structure(call: Any, config: Json) -> ArgumentStructure:
    if not _is_call(call):
        raise refuse("arguments", expected="positional and keyword arguments", found=config)
    positional, names = len(call[0]), tuple(call[1])
    call = take_apart(call, held=lambda value: isinstance(value, Slot))
    leaves, treedef = jax.tree_util.tree_flatten(call)
    slots = [leaf.index for leaf in leaves if isinstance(leaf, Slot)]
    if slots != list(range(len(slots))):
        raise refuse("arguments", expected="each array once, in order", found=slots)
    statics = [(i, leaf) for i, leaf in enumerate(leaves) if not isinstance(leaf, Slot)]
    if any(is_array(leaf) for _, leaf in statics):
        raise refuse("arguments", expected="static values that are no arrays", found=statics)
    return ArgumentStructure(
        treedef,
        tuple(statics),
        apart=has_parts(call),
        positional=positional,
        names=names,
        stored=True,
    )


def _is_call(call: Any) -> bool:
    if type(call) is not tuple or len(call) != 2:
        return False
    args, kwargs = call
    return type(args) is tuple and type(kwargs) is dict and all(type(key) is str for key in kwargs)


@keras.saving.register_keras_serializable(package="flaxlayer")
class PackedArguments:
    """The static side of a call as one opaque argument, so that Keras sees a flat list of arrays.

    Args:
        structure: What `partition` returned.
        flat_outputs: Whether the layer returns the arrays of its outputs as a list, because Keras
            would refuse the outputs themselves (A5).
    """

    def __init__(self, structure: ArgumentStructure, flat_outputs: bool = False) -> None:
        self.structure = structure
        self.flat_outputs = flat_outputs
        self._flattening: Flattening[PyTree] = Flattening()

    def flatten(self, outputs: PyTree) -> list[Json]:
        """Returns the arrays of outputs as `wrap_statics` gives them, and keeps their form."""
        return self._flattening.flatten(outputs)

    def assemble(self, outputs: PyTree) -> Json:
        """Undoes `flatten` after Keras has seen the arrays."""
        if not self.flat_outputs:
            return outputs
        return unwrap_statics(self._flattening.assemble(outputs))

    def get_config(self) -> dict[str, Json]:
        """Returns the configuration, which a functional model stores for each call."""
        arguments = encode_structure(self.structure)
        return {"arguments": arguments, "flat_outputs": self.flat_outputs}

    @classmethod
    def from_config(cls, config: dict[str, Json]) -> PackedArguments:
        """Makes the object from `get_config`."""
        with refusing("the arguments of a call"):
            known = check_mapping(config, "flax_arguments")
            flat = known.get("flat_outputs", False)
            if not isinstance(flat, bool):
                raise refuse("flat_outputs", expected="true or false", found=flat)
            return cls(decode_structure(known.get("arguments")), flat_outputs=flat)


# Names of arguments that Keras, or `Layer.call` of ours, would take for its own.
_TAKEN = frozenset({"args", "flax_arguments", "inputs", "kwargs", "self"})


def needs_packing(args: Args, kwargs: Kwargs, structure: ArgumentStructure) -> bool:
    """Tells whether Keras would refuse, misread or lose the form of these arguments."""
    if structure.statics or structure.apart or not _TAKEN.isdisjoint(kwargs):
        return True
    return not all(map(_is_kept, (*args, *kwargs.values())))


def _is_kept(value: PyTree) -> bool:
    # What a file of Keras gives back as it was.
    kind = type(value)
    if kind in (list, tuple):
        return all(map(_is_kept, value))
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(_is_kept, value.values()))
    return value is None or is_array(value)
