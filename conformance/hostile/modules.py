"""The modules of stored things: a field of each kind that a configuration can hold."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import CollectionPolicy

__all__ = ["LAYERS", "Fields", "Net", "Referenced", "hand_over", "modal"]


class Net(nn.Module):
    """Params, statistics, dropout and a second method."""

    features: int = 3

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(self.features)(x))
        return nn.Dropout(0.1, deterministic=not train)(x)

    def encode(self, x):
        return self(x)


class Fields(nn.Module):
    """A dense layer with further fields, which only stand there."""

    width: int = 2
    table: Any = None
    inner: nn.Module | None = None
    act: Any = nn.relu

    @nn.compact
    def __call__(self, x):
        return self.act(nn.Dense(self.width)(x))


class Modes(nn.Module):
    """A static argument of the call, and two arrays."""

    @nn.compact
    def __call__(self, x, other, mode="sum", scale=1.0):
        y = nn.Dense(2)(x + other if mode == "sum" else x)
        return y * scale


class Block(nnx.Module):
    """An nnx module."""

    def __init__(self, din: int, dout: int, *, rngs: nnx.Rngs):
        self.linear = nnx.Linear(din, dout, rngs=rngs)

    def __call__(self, x):
        return self.linear(x)


@keras.saving.register_keras_serializable("conformance_hostile")
class Referenced(nn.Module):
    """What `keras.layers.FlaxLayer` can save: a module with a configuration of its own."""

    width: int = 3

    @nn.compact
    def __call__(self, inputs, training=False):
        x = nn.BatchNorm(use_running_average=not training)(nn.Dense(self.width)(inputs))
        return nn.Dense(2)(x)

    def get_config(self):
        return {"width": self.width}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("conformance_hostile")
class NoModule:
    """Registered with Keras, as any user's class may be, and of no use to a file."""

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        raise SystemExit("a class that is no module was made")


_TABLE = {
    "text": "same",
    3: (1, 2.5, 1 + 2j, None, b"bytes"),
    "set": frozenset({1, 2}),
    "range": range(2, 8, 2),
    "slice": slice(1, None),
    "array": np.arange(6, dtype=np.float32).reshape(2, 3),
    "keyed": jnp.ones((2,), jnp.bfloat16),
    "dtype": jnp.dtype("bfloat16"),
    "enum": jax.lax.Precision.HIGHEST,
    "partial": functools.partial(nn.gelu, approximate=False),
    "spec": jax.sharding.PartitionSpec("data", None),
    "init": nn.initializers.variance_scaling(1.0, "fan_in", "normal"),
    "huge": 10**25,
    "policy": jax.checkpoint_policies.save_only_these_names("a", "b"),
    "class": nn.Dense,
}
_GIVEN = {"params": {"kernel": np.ones((4, 3), np.float32), "bias": np.zeros(3, np.float32)}}
_SCANNED = nn.scan(
    nn.Dense, variable_axes={"params": 0}, variable_broadcast=False, split_rngs={"params": True}
)


def _attention() -> FlaxLayer:
    return FlaxLayer(nn.MultiHeadDotProductAttention(num_heads=2, qkv_features=4))


LAYERS = {
    "dense": lambda: FlaxLayer(nn.Dense(3)),
    "net": lambda: FlaxLayer(Net(), seed=3),
    "fields": lambda: FlaxLayer(Fields(2, _TABLE, nn.Conv(2, (3,)))),
    "general": lambda: FlaxLayer(nn.DenseGeneral((2, 2), axis=(-1,), batch_dims=(0,))),
    "groups": lambda: FlaxLayer(nn.GroupNorm(2, reduction_axes=(-1,))),
    "sequential": lambda: FlaxLayer(nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])),
    "remat": lambda: FlaxLayer(nn.remat(nn.Dense)(3)),
    "vmap": lambda: FlaxLayer(
        nn.vmap(nn.Dense, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=-1)(3)
    ),
    "scan": lambda: FlaxLayer(nn.RNN(nn.LSTMCell(3))),
    "lifted": lambda: FlaxLayer(Fields(2, {"class": _SCANNED})),
    "initialised": lambda: FlaxLayer(
        nn.Dense(3, kernel_init=nn.with_partitioning(nn.initializers.normal(0.1), (None, "model")))
    ),
    "attention": _attention,
    "nnx": lambda: FlaxLayer(functools.partial(Block, 4, 3)),
    "stock nnx": lambda: FlaxLayer(functools.partial(nnx.Linear, 4, 3)),
    "given": lambda: FlaxLayer(nn.Dense(3), variables=_GIVEN),
    "settings": lambda: FlaxLayer(
        Net(),
        rngs=("dropout",),
        training_arg="train",
        return_sown=("intermediates",),
        losses=("losses", "penalty"),
        state_updates="training",
        collections=CollectionPolicy(state=("batch_stats",)),
        dtype="mixed_bfloat16",
        activity_regularizer=keras.regularizers.L2(0.1),
    ),
}
"""The makers of layers, each of which takes an input of shape `[batch, 6, 4]`."""


def hand_over() -> list[FlaxLayer]:
    """Makes the classes known to this process, as the program that makes the models would."""
    return [FlaxLayer(Modes()), *(make() for make in LAYERS.values())]


def modal(first: Any, second: Any) -> Any:
    """Calls a layer whose arguments a functional model packs."""
    return FlaxLayer(Modes(), name="modes")(first, second, mode="sum", scale=0.5)
