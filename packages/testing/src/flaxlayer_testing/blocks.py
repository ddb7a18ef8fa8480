"""Pieces of a module that no linen layer offers: custom state, streams, sown values, tied weights.

A printed program holds the source of those that it uses, so they need `jax`, `jnp` and `nn` only.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = [
    "always_noise",
    "count_calls",
    "count_steps",
    "guarded_average",
    "moving_average",
    "sow_loss",
    "sow_value",
    "tied_dense",
    "tied_embed",
    "training_noise",
]


def count_steps(
    module: nn.Module, x: jax.Array, *, name: str, training: bool, at_init: bool
) -> jax.Array:
    """Counts training calls, `init` too if `at_init`; scales by the count before this call."""
    count = module.variable("counters", name, lambda: jnp.zeros((), jnp.int32))
    y = x * (1 + count.value.astype(x.dtype) / 8)
    if training and (at_init or not module.is_initializing()):
        count.value += 1
    return y


def count_calls(module: nn.Module, x: jax.Array, *, name: str) -> jax.Array:
    """Counts calls in both modes; shifts by the count before this call."""
    count = module.variable("calls", name, lambda: jnp.zeros((), jnp.int32))
    y = x + count.value.astype(x.dtype) / 8
    if not module.is_initializing():
        count.value += 1
    return y


def moving_average(
    module: nn.Module, x: jax.Array, *, name: str, training: bool, decay: float
) -> jax.Array:
    """Follows the mean of each feature in training; subtracts the mean so far."""
    axes = tuple(range(x.ndim - 1))
    mean = module.variable("averages", name, lambda: jnp.zeros(x.shape[-1:], jnp.float32))
    y = x - mean.value.astype(x.dtype)
    if training and not module.is_initializing():
        now = jnp.mean(x.astype(jnp.float32), axis=axes)
        mean.value = decay * mean.value + (1 - decay) * now
    return y


def guarded_average(module: nn.Module, x: jax.Array, *, name: str) -> jax.Array:
    """Follows the mean of the absolute value whenever its collection may be changed."""
    level = module.variable("levels", name, lambda: jnp.ones((), jnp.float32))
    y = x * level.value.astype(x.dtype)
    if module.is_mutable_collection("levels") and not module.is_initializing():
        now = jnp.mean(jnp.abs(x.astype(jnp.float32)))
        level.value = 0.75 * level.value + 0.25 * now
    return y


def training_noise(module: nn.Module, x: jax.Array, *, stream: str, training: bool) -> jax.Array:
    """Adds noise in training."""
    if training:
        x = x + 0.25 * jax.random.normal(module.make_rng(stream), x.shape, x.dtype)
    return x


def always_noise(module: nn.Module, x: jax.Array, *, stream: str) -> jax.Array:
    """Adds noise in both modes."""
    return x + 0.25 * jax.random.uniform(module.make_rng(stream), x.shape, x.dtype)


def sow_value(module: nn.Module, x: jax.Array, *, name: str) -> jax.Array:
    """Sows its argument."""
    module.sow("intermediates", name, x)
    return x


def sow_loss(
    module: nn.Module, x: jax.Array, *, name: str, training: bool, at_inference: bool
) -> jax.Array:
    """Sows the mean square of its argument as a loss."""
    if training or at_inference:
        module.sow("losses", name, 0.125 * jnp.mean(jnp.square(x.astype(jnp.float32))))
    return x


def tied_dense(x: jax.Array, *, features: int) -> jax.Array:
    """Applies one dense layer twice."""
    dense = nn.Dense(features)
    return dense(nn.tanh(dense(x)))


def tied_embed(x: jax.Array, *, num_embeddings: int, features: int) -> jax.Array:
    """Embeds token ids and attends to the same table."""
    embed = nn.Embed(num_embeddings, features)
    return embed.attend(nn.tanh(embed(x)))
