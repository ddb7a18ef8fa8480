"""Entries for the modules of `flax.nnx`, and for what only nnx modules have."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax.numpy as jnp
from flax import nnx

from conformance.zoo.entry import TOKENS, Entry, X, normal

__all__ = ["NNX_ENTRIES"]

SIGNAL, IMAGE, SEQUENCE = normal(2, 6, 3), normal(2, 5, 5, 2), normal(2, 3, 4)
INIT = nnx.initializers.lecun_normal()


def stock(cls, *args, x=X, name="", **kwargs):
    """Returns the entry of a stock class, which a layer is given with its arguments."""
    made = functools.partial(cls, *args, **kwargs)
    return Entry(name or cls.__name__, (f"nnx.{cls.__name__}",), lambda: (made, (x,)))


def shows(cls, *covers, x=X, name="", **kwargs):
    """Returns the entry of a class of this file, and of what it covers."""
    made = functools.partial(cls, **kwargs)
    return Entry(name or cls.__name__, covers, lambda: (made, (x,)))


class Recurrent(nnx.Module):
    """A recurrent cell over a sequence."""

    def __init__(self, cell, *, rngs):
        self.rnn = nnx.RNN(getattr(nnx, cell)(4, 3, rngs=rngs))

    def __call__(self, x):
        return self.rnn(x)


class BothWays(nnx.Module):
    """Two recurrent layers, one of them backwards."""

    def __init__(self, *, rngs):
        forward, backward = (nnx.RNN(nnx.GRUCell(4, 3, rngs=rngs)) for _ in range(2))
        self.both = nnx.Bidirectional(forward, backward)

    def __call__(self, x):
        return self.both(x)


class OneStep(nnx.Module):
    """A cell by itself, from a carry of its own."""

    def __init__(self, *, rngs):
        self.cell = nnx.LSTMCell(4, 3, rngs=rngs)

    def __call__(self, x):
        carry = (jnp.zeros((x.shape[0], 3)), jnp.ones((x.shape[0], 3)))
        return self.cell(carry, x)


class Wrapped(nnx.Module):
    """A layer whose kernel is normalised."""

    def __init__(self, norm, *, rngs):
        self.norm = getattr(nnx, norm)(nnx.Linear(4, 3, rngs=rngs), epsilon=0.01, rngs=rngs)

    def __call__(self, x):
        return self.norm(x)


class Chain(nnx.Module):
    """A sequence of layers and functions."""

    def __init__(self, *, rngs):
        norm, dropout = nnx.BatchNorm(3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
        self.chain = nnx.Sequential(nnx.Linear(4, 3, rngs=rngs), norm, nnx.relu, dropout)

    def __call__(self, x):
        return self.chain(x)


class Attends(nnx.Module):
    """Attention with dropout, under a causal mask."""

    def __init__(self, *, rngs):
        self.attention = nnx.MultiHeadAttention(
            2, 4, dropout_rate=0.5, decode=False, keep_rngs=True, rngs=rngs
        )

    def __call__(self, x):
        return self.attention(x, mask=nnx.make_causal_mask(x[..., 0]))


class Decodes(nnx.Module):
    """Attention to what came before, in a cache."""

    def __init__(self, *, rngs):
        self.attention = nnx.MultiHeadAttention(2, 4, decode=True, rngs=rngs)
        self.attention.init_cache((2, 5, 4))

    def __call__(self, x):
        return self.attention(x[:, :1])


class Listed(nnx.Module):
    """Layers in a list and in a dictionary, one of them in both."""

    def __init__(self, *, rngs):
        self.layers = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(2)])
        self.named = nnx.Dict(first=self.layers[0], other=nnx.Linear(4, 4, rngs=rngs))

    def __call__(self, x):
        for layer in (*self.layers, self.named["first"], self.named["other"]):
            x = nnx.tanh(layer(x))
        return x


class Stacked(nnx.Module):
    """Layers with dropout whose variables are stacked, run by a scan or side by side."""

    def __init__(self, transform, *, rngs):
        make = nnx.split_rngs(splits=2)(nnx.vmap(lambda rngs: Chained(rngs=rngs)))
        self.transform, self.layers = transform, make(rngs)

    def __call__(self, x):
        def run(layer, x):
            return layer(x)

        if self.transform == "scan":
            scan = nnx.scan(run, in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
            return scan(self.layers, x)
        return nnx.vmap(run, in_axes=(0, None), out_axes=1)(self.layers, x)


class Chained(nnx.Module):
    """A layer that returns what it takes."""

    def __init__(self, *, rngs):
        self.dense, self.norm = nnx.Linear(4, 4, rngs=rngs), nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return x + self.dropout(self.norm(self.dense(x)))


class Tied(nnx.Module):
    """One table for what goes in and what comes out."""

    def __init__(self, *, rngs):
        self.embed = nnx.Embed(5, 4, rngs=rngs)
        self.head = self.embed

    def __call__(self, ids):
        return self.head.attend(nnx.tanh(self.embed(ids)))


class Steps(nnx.Variable):
    """A type of variables that Flax has no name for."""


class Counts(nnx.Module):
    """A variable of a custom type, one with metadata, an array that is no variable."""

    def __init__(self, *, rngs):
        del rngs
        self.steps = Steps(jnp.zeros((), jnp.int32))
        self.mean = nnx.BatchStat(jnp.zeros(4), unit="metres")
        self.table = nnx.data(jnp.arange(4.0))

    def __call__(self, x):
        self.steps[...] += 1
        self.mean[...] = 0.5 * self.mean[...] + x.mean(0)
        return x - self.mean[...] + self.table


class Named(nnx.Module):
    """A kernel with the names of mesh axes."""

    def __init__(self, *, rngs):
        init = nnx.with_partitioning(INIT, (None, "model"), eager_sharding=False)
        self.dense = nnx.Linear(4, 3, kernel_init=init, rngs=rngs)

    def __call__(self, x):
        return self.dense(x)


class Sows(nnx.Module):
    """An intermediate value beside the output."""

    def __init__(self, *, rngs):
        self.dense = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        y = self.dense(x)
        self.sow(nnx.Intermediate, "hidden", y)
        return {"first": y, "rest": [2 * y]}


class OfLinen(nnx.Module):
    """A linen module inside, with state and a stream."""

    def __init__(self, *, rngs):
        self.inner = nnx.bridge.lazy_init(nnx.bridge.ToNNX(nn.Dense(3), rngs=rngs), X)

    def __call__(self, x):
        return self.inner(x)


class Given(Chain):
    """A chain that tells what it was made with."""

    def get_config(self):
        """Returns the arguments of the constructor but `rngs`."""
        return {}


STOCK = (
    stock(nnx.Linear, 4, 3),
    stock(nnx.LinearGeneral, (6, 3), (2, 2), axis=(-2, -1), x=SIGNAL),
    stock(nnx.Einsum, "abc,cde->abde", (3, 2, 4), (2, 4), x=SIGNAL),
    stock(nnx.Embed, 5, 3, x=TOKENS),
    stock(nnx.PReLU, 0.2),
    stock(nnx.Dropout, 0.5),
    stock(nnx.Dropout, 0.5, rng_collection="noise", broadcast_dims=(1,), name="Noise"),
    stock(nnx.Conv, 3, 4, (3,), padding="CAUSAL", x=SIGNAL),
    stock(nnx.ConvTranspose, 2, 3, (3, 3), strides=(2, 2), x=IMAGE),
    stock(nnx.BatchNorm, 4, momentum=0.5),
    stock(nnx.LayerNorm, 4),
    stock(nnx.RMSNorm, 4),
    stock(nnx.GroupNorm, 2, num_groups=2, x=IMAGE),
    stock(nnx.InstanceNorm, 2, x=IMAGE),
    stock(nnx.LoRA, 4, 2, 3),
    stock(nnx.LoRALinear, 4, 3, lora_rank=2),
)

SHOWN = (
    *(
        shows(Recurrent, f"nnx.{cell}", "nnx.RNN", x=SEQUENCE, name=cell, cell=cell)
        for cell in ("LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell")
    ),
    shows(BothWays, "nnx.Bidirectional", x=SEQUENCE),
    shows(OneStep, "feature.cell_alone"),
    shows(Wrapped, "nnx.WeightNorm", norm="WeightNorm", name="WeightNorm"),
    shows(Wrapped, "nnx.SpectralNorm", norm="SpectralNorm", name="SpectralNorm"),
    shows(Chain, "nnx.Sequential"),
    shows(Attends, "nnx.MultiHeadAttention", x=SEQUENCE),
    shows(Decodes, "nnx.MultiHeadAttention", "feature.decode_cache", x=SEQUENCE),
    shows(Listed, "nnx.List", "nnx.Dict", "feature.shared_layer"),
    shows(Stacked, "feature.scanned_layers", transform="scan", name="Scanned"),
    shows(Stacked, "feature.mapped_layers", transform="vmap", name="Mapped"),
    shows(Tied, "feature.tied_table", x=TOKENS),
    shows(Counts, "feature.custom_variables"),
    shows(Named, "feature.sharding_metadata"),
    shows(Sows, "feature.sown_values"),
    shows(OfLinen, "nnx.bridge.ToNNX"),
    Entry(
        "OfNnx",
        ("nnx.bridge.ToLinen",),
        lambda: (nnx.bridge.to_linen(nnx.Linear, 4, out_features=3), (X,)),
    ),
    Entry("Given", ("feature.object",), lambda: (Given(rngs=nnx.Rngs(0, dropout=1)), (X,))),
)

# Flax 0.12.12 has it.
LATER = (
    (stock(nnx.RoPE, embedding_size=4, max_seq_len=5, x=SEQUENCE),) if hasattr(nnx, "RoPE") else ()
)

NNX_ENTRIES: tuple[Entry, ...] = (*STOCK, *SHOWN, *LATER)
"""All entries of nnx."""
