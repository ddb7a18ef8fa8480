"""Noise from rng streams."""

from __future__ import annotations

import flax.linen as nn
import jax

__all__ = [
    "always_noise",
    "optional_noise",
    "training_noise",
]


def training_noise(module: nn.Module, x: jax.Array, *, stream: str, training: bool) -> jax.Array:
    """Adds noise in training."""
    if training:
        x = x + 0.25 * jax.random.normal(module.make_rng(stream), x.shape, x.dtype)
    return x


def always_noise(module: nn.Module, x: jax.Array, *, stream: str) -> jax.Array:
    """Adds noise in both modes."""
    return x + 0.25 * jax.random.uniform(module.make_rng(stream), x.shape, x.dtype)


def optional_noise(module: nn.Module, x: jax.Array, *, stream: str, training: bool) -> jax.Array:
    """Adds noise in training, where the stream is there."""
    if training and module.has_rng(stream):
        x = x + 0.25 * jax.random.normal(module.make_rng(stream), x.shape, x.dtype)
    return x
