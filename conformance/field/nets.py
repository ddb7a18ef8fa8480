"""Modules as people write them: configured by `ml_collections`, or given `nnx.Rngs` at the call."""

from __future__ import annotations

import itertools

import flax.linen as nn
import ml_collections
from flax import nnx

__all__ = ["Drops", "Encoder", "Reader", "encoder_config"]


def encoder_config() -> ml_collections.ConfigDict:
    """Returns a configuration with all that such configurations hold, locked as `ConfigDict` is."""
    config = ml_collections.ConfigDict()
    config.hidden_sizes = (6, 4)
    config.activation = "gelu"
    config.dropout = ml_collections.ConfigDict({"rate": 0.25, "broadcast": [0]})
    config.dtype = ml_collections.config_dict.placeholder(str)
    config.width = ml_collections.FieldReference(6)
    return config


class Encoder(nn.Module):
    """A linen module, all of whose settings stand in one field."""

    config: ml_collections.ConfigDict | ml_collections.FrozenConfigDict

    @nn.compact
    def __call__(self, x, *, train: bool):
        config = self.config
        for size in config.hidden_sizes:
            x = getattr(nn, config.activation)(nn.Dense(size, dtype=config.dtype)(x))
            dropped = list(config.dropout.broadcast)
            x = nn.Dropout(config.dropout.rate, dropped, deterministic=not train)(x)
        return nn.Dense(config.width)(x)


class Reader(nnx.Module):
    """The same as an nnx module, given its configuration by its constructor."""

    def __init__(self, config: ml_collections.ConfigDict, features: int, *, rngs: nnx.Rngs):
        sizes = [features, *config.hidden_sizes]
        self.activation = config.activation
        self.hidden = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes)])
        self.dropout = nnx.Dropout(config.dropout.rate, rngs=rngs)
        self.last = nnx.Linear(sizes[-1], config.width, rngs=rngs)

    def __call__(self, x):
        for linear in self.hidden:
            x = self.dropout(getattr(nnx, self.activation)(linear(x)))
        return self.last(x)


class Drops(nnx.Module):
    """An nnx module that is given its random keys when it is called, as Flax's examples are."""

    def __init__(self, features: int, width: int = 5, *, rngs: nnx.Rngs):
        self.first = nnx.Linear(features, width, rngs=rngs)
        self.dropout = nnx.Dropout(0.25)
        self.last = nnx.Linear(width, 3, rngs=rngs)

    def __call__(self, x, *, rngs: nnx.Rngs | None = None):
        return self.last(self.dropout(nnx.relu(self.first(x)), rngs=rngs))
