"""Random streams of nnx among the stored arguments of a call, by their names (A1, S1)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from flaxlayer.typing import Array, Json
from flaxlayer_core import GraphPart, KeyData, merge_graph, register, split_graph

__all__ = ["register_rngs"]


def register_rngs() -> None:
    """Lets `nnx.Rngs` stand in stored arguments; other objects of nnx have no such form."""
    register(GraphPart, package="flaxlayer", name="Rngs", encode=_encode, decode=_decode)


def _encode(part: GraphPart) -> dict[str, Json]:
    if part.form is None:
        return {"index": part.index}
    objects = merge_graph(part.form, list(map(_stand_in, part.leaves)))
    if not all(isinstance(value, nnx.Rngs) for value in objects):
        kinds = ", ".join(type(value).__name__ for value in objects)
        raise TypeError(f"of the objects of nnx only Rngs can be stored, not {kinds}")
    streams = [list(value) for value in objects]
    return {"index": part.index, "streams": streams, "leaves": list(part.leaves)}


def _stand_in(leaf: Array) -> Json:
    return jax.random.key(0, impl=leaf.impl) if isinstance(leaf, KeyData) else jnp.uint32(0)


def _decode(stored: dict[str, Json]) -> GraphPart:
    if "streams" not in stored:
        return GraphPart(stored["index"])
    objects = [nnx.Rngs(**dict.fromkeys(names, 0)) for names in stored["streams"]]
    form, leaves = split_graph(objects)
    if len(leaves) != len(stored["leaves"]):
        raise ValueError(f"{len(leaves)} arrays belong to these streams")
    return GraphPart(stored["index"], form, stored["leaves"])
