"""Params of any dtype, cached attention, tied weights."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = [
    "complex_dense",
    "decode_step",
    "metadata_axis",
    "table",
    "tied_dense",
    "tied_embed",
]


def table(module: nn.Module, x: jax.Array, *, name: str, dtype: str) -> jax.Array:
    """Scales each feature by a param of any dtype, which is used in single precision."""
    scale = module.param(name, lambda key, shape: jnp.ones(shape, dtype), x.shape[-1:])
    return x * jnp.real(scale).astype(x.dtype)


def complex_dense(x: jax.Array, *, features: int) -> jax.Array:
    """Applies a complex layer, and returns the real part."""
    dense = nn.Dense(features, dtype=jnp.complex64, param_dtype=jnp.complex64)
    return jnp.real(dense(x))


def decode_step(module: nn.Module, x: jax.Array, *, num_heads: int) -> jax.Array:
    """Attends from the first element to those of the calls before it, in a cache of four."""
    step = x[:, :1]
    if module.is_initializing():
        step = jnp.repeat(step, 4, axis=1)
    attention = nn.MultiHeadDotProductAttention(num_heads, qkv_features=4, decode=True)
    y: jax.Array = attention(step)[:, :1]
    return y


def metadata_axis(x: jax.Array, *, features: int) -> jax.Array:
    """Applies a dense layer whose metadata names one more axis."""
    stacked = nn.transforms.add_metadata_axis(
        nn.Dense, variable_axes={"params": 0}, metadata_params={nn.PARTITION_NAME: "layers"}
    )
    init = nn.with_partitioning(nn.initializers.lecun_normal(), ("in", "out"))
    return stacked(features, kernel_init=init)(x)


def tied_dense(x: jax.Array, *, features: int) -> jax.Array:
    """Applies one dense layer twice."""
    dense = nn.Dense(features)
    return dense(nn.tanh(dense(x)))


def tied_embed(x: jax.Array, *, num_embeddings: int, features: int) -> jax.Array:
    """Embeds token ids and attends to the same table."""
    embed = nn.Embed(num_embeddings, features)
    return embed.attend(nn.tanh(embed(x)))
