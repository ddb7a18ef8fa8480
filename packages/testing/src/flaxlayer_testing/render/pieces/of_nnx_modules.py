"""Pieces of an nnx module that no stock layer offers, as functions and classes.

A printed program holds the source of those that it uses, so they need `jax`, `jnp` and `nnx` only.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

__all__ = [
    "Averages",
    "Calls",
    "Steps",
    "Tied",
    "always_noise",
    "count_calls",
    "count_steps",
    "losses",
    "moving_average",
    "scale_by",
    "sow_loss",
    "sow_value",
    "stacked",
    "training_noise",
    "with_cache",
]


class Steps(nnx.Variable):  # type: ignore[type-arg]
    """A number of training calls."""


class Calls(nnx.Variable):  # type: ignore[type-arg]
    """A number of calls."""


class Averages(nnx.Variable):  # type: ignore[type-arg]
    """Moving averages."""


class losses(nnx.Intermediate):  # type: ignore[type-arg]
    """Terms of a loss."""


class Tied(nnx.Module):
    """One layer under two names."""

    def __init__(self, layer: Any) -> None:
        self.first = layer
        self.second = layer

    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the layer twice."""
        y: jax.Array = self.second(nnx.tanh(self.first(x)))
        return y


def scale_by(x: jax.Array, scale: Any) -> jax.Array:
    """Scales each feature by a param of any dtype, which is used in single precision."""
    return x * jnp.real(scale[...]).astype(x.dtype)


def count_steps(x: jax.Array, count: Any, *, training: bool) -> jax.Array:
    """Counts training calls; scales by the count before this call."""
    y: jax.Array = x * (1 + count[...].astype(x.dtype) / 8)
    if training:
        count[...] += 1
    return y


def count_calls(x: jax.Array, count: Any) -> jax.Array:
    """Counts calls in both modes; shifts by the count before this call."""
    y: jax.Array = x + count[...].astype(x.dtype) / 8
    count[...] += 1
    return y


def moving_average(x: jax.Array, mean: Any, *, decay: float, training: bool) -> jax.Array:
    """Follows the mean of each feature in training; subtracts the mean so far."""
    y: jax.Array = x - mean[...].astype(x.dtype)
    if training:
        now = jnp.mean(x.astype(jnp.float32), axis=tuple(range(x.ndim - 1)))
        mean[...] = decay * mean[...] + (1 - decay) * now
    return y


def training_noise(x: jax.Array, stream: Any, *, training: bool) -> jax.Array:
    """Adds noise in training."""
    return x + 0.25 * jax.random.normal(stream(), x.shape, x.dtype) if training else x


def always_noise(x: jax.Array, stream: Any) -> jax.Array:
    """Adds noise in both modes."""
    return x + 0.25 * jax.random.uniform(stream(), x.shape, x.dtype)


def sow_value(module: nnx.Module, x: jax.Array, *, name: str) -> jax.Array:
    """Sows its argument."""
    module.sow(nnx.Intermediate, name, x)
    return x


def sow_loss(
    module: nnx.Module, x: jax.Array, *, name: str, training: bool, at_inference: bool
) -> jax.Array:
    """Sows the mean square of its argument as a loss."""
    if training or at_inference:
        module.sow(losses, name, 0.125 * jnp.mean(jnp.square(x.astype(jnp.float32))))
    return x


def with_cache(attention: nnx.MultiHeadAttention, shape: tuple[int, ...]) -> nnx.Module:
    """Gives attention a cache for inputs of a shape."""
    attention.init_cache(shape)
    return attention


def stacked(make: Any, rngs: nnx.Rngs, size: int) -> nnx.Module:
    """Makes modules whose variables are stacked."""
    split = nnx.split_rngs(splits=size)
    layers: nnx.Module = split(nnx.vmap(lambda rngs: make(rngs=rngs), in_axes=0))(rngs)
    return layers
