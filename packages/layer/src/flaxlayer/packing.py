"""Calls that Keras's own argument handling cannot carry: statics and foreign pytrees (A1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import keras
from flaxlayer_core import ArgumentStructure, is_array
from flaxlayer_core.config import decode_value, encode_value, register

from flaxlayer.resolving import resolve_name

__all__ = ["PackedArguments", "decode_structure", "encode_structure", "needs_packing"]


@register(package="flaxlayer", name="Slot")
@dataclass(frozen=True)
class Slot:
    """Where an array stands in stored arguments.

    Attributes:
        index: Its position among the arrays.
    """

    index: int


def encode_structure(structure: ArgumentStructure) -> Any:
    """Returns the static side of a call as JSON.

    Args:
        structure: What `split_arguments` returned.

    Returns:
        Plain JSON values.

    Raises:
        EncodeModuleError: If a static value cannot be stored.
    """
    count = structure.treedef.num_leaves - len(structure.statics)
    args, kwargs = structure.merge([Slot(index) for index in range(count)])
    return encode_value((args, kwargs), path="arguments")


def decode_structure(config: Any) -> ArgumentStructure:
    """Returns what `encode_structure` stored.

    Args:
        config: Plain JSON values.

    Returns:
        The static side of a call.

    Raises:
        DecodeModuleError: If the configuration is refused.
    """
    call = decode_value(config, path="arguments", resolve=resolve_name)
    leaves, treedef = jax.tree_util.tree_flatten(call)
    statics = [(i, leaf) for i, leaf in enumerate(leaves) if not isinstance(leaf, Slot)]
    return ArgumentStructure(treedef, tuple(statics))


@keras.saving.register_keras_serializable(package="flaxlayer")
class PackedArguments:
    """The static side of a call as one opaque argument, so that Keras sees a flat list of arrays.

    Args:
        structure: What `split_arguments` returned.
        flat_outputs: Whether the layer returns the arrays of its outputs as a list, because Keras
            would refuse the outputs themselves (A5).
    """

    def __init__(self, structure: ArgumentStructure, flat_outputs: bool = False) -> None:
        self.structure = structure
        self.flat_outputs = flat_outputs

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration, which a functional model stores for each call."""
        arguments = encode_structure(self.structure)
        return {"arguments": arguments, "flat_outputs": self.flat_outputs}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PackedArguments:
        """Makes the object from `get_config`."""
        return cls(decode_structure(config["arguments"]), bool(config.get("flat_outputs")))


def needs_packing(
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    arrays: Sequence[Any],
    structure: ArgumentStructure,
) -> bool:
    """Tells whether Keras would refuse or misread these arguments."""
    if structure.statics:
        return True
    if all(map(is_array, args)) and all(map(is_array, kwargs.values())):
        return False
    seen = [leaf for leaf in keras.tree.flatten((args, dict(kwargs))) if leaf is not None]
    return len(seen) != len(arrays)
