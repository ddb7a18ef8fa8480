"""Entries for what goes into a call and what comes out of it: pytrees, masks, static values."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
import numpy as np

from conformance.zoo.entry import TOKENS, Entry, X, feature, normal

__all__ = ["ENTRIES", "Masked"]


class Pair(NamedTuple):
    """A named tuple of outputs."""

    first: Any
    second: Any


@flax.struct.dataclass
class Result:
    """A dataclass of outputs, with a static field."""

    logits: Any
    pair: Pair
    kind: str = flax.struct.field(pytree_node=False, default="class")


class PytreesInOut(nn.Module):
    """A dict of arrays with a nested list in, a dataclass out."""

    @nn.compact
    def __call__(self, batch):
        first, second = batch["pair"]
        x = jnp.concatenate([batch["x"], first, second], axis=-1)
        logits = nn.Dense(3)(x)
        return Result(logits, Pair(first + 1, [second, {"sum": jnp.sum(logits)}]))


class DictsInOut(nn.Module):
    """A dict in and a dict out."""

    @nn.compact
    def __call__(self, batch):
        x = nn.Dense(3)(batch["x"]) + nn.Embed(5, 3)(batch["ids"]).sum(axis=1)
        return {"logits": x, "sums": (jnp.sum(x, axis=-1), x[:, :1])}


class NoneInOut(nn.Module):
    """An optional input that nobody gives, and an output that is None."""

    @nn.compact
    def __call__(self, x, memory=None):
        y = nn.Dense(3)(x if memory is None else memory)
        return y, memory


class StaticArguments(nn.Module):
    """A string, a number and a flag that choose the graph."""

    @nn.compact
    def __call__(self, x, mode, *, power=1, train=False):
        y = nn.Dense(3)(x) ** power
        return {"mean": jnp.mean, "sum": jnp.sum}[mode](y, axis=-1, keepdims=not train)


class StaticOutputs(nn.Module):
    """A string, a number, None and a flag beside an array."""

    @nn.compact
    def __call__(self, x, train=False):
        return {"y": nn.Dense(3)(x), "kind": "logits", "size": 3, "none": None, "train": train}


class KeywordArrays(nn.Module):
    """An array by keyword only, and any other keyword."""

    @nn.compact
    def __call__(self, x, *, scale, **others):
        return nn.Dense(3)(x) * scale + sum(others.values())


class Masked(nn.Module):
    """A mask of sequence elements, as Keras hands it on."""

    @nn.compact
    def __call__(self, x, mask=None):
        y = nn.Dense(3)(x)
        return y if mask is None else jnp.where(mask[..., None], y, 0)


PARTS = {"pair": [normal(2, 3), normal(2, 2)], "x": X}

ENTRIES: tuple[Entry, ...] = (
    feature(PytreesInOut, "pytrees", PARTS, also=("law.A5",)),
    feature(DictsInOut, "pytrees", {"x": X, "ids": TOKENS}),
    feature(NoneInOut, "none", X, None),
    feature(StaticArguments, "static_arguments", X, arguments={"mode": "sum", "power": 2}),
    feature(StaticArguments, "static_arguments", X, "sum", name="StaticPositional"),
    feature(StaticOutputs, "static_outputs"),
    feature(KeywordArrays, "keywords", arguments={"scale": normal(2, 1), "more": normal(2, 3)}),
    feature(
        Masked, "masks", normal(2, 3, 4), arguments={"mask": np.array([[True, True, False]] * 2)}
    ),
)
