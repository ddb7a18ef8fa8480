"""Values that a module hands out beside its outputs."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = [
    "perturbed",
    "sow_loss",
    "sow_total",
    "sow_value",
]


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


def sow_total(module: nn.Module, x: jax.Array, *, name: str) -> jax.Array:
    """Sows a sum by a reducer of its own, which keeps one array; `init` sows zero."""
    initial = module.is_initializing()
    value = jnp.zeros((), jnp.float32) if initial else jnp.sum(x.astype(jnp.float32))
    module.sow(
        "metrics",
        name,
        value,
        reduce_fn=lambda total, new: total + new,
        init_fn=lambda: jnp.zeros((), jnp.float32),
    )
    return x


def perturbed(module: nn.Module, x: jax.Array, *, name: str) -> jax.Array:
    """Marks a hidden value whose gradient can be read."""
    return module.perturb(name, nn.tanh(x))
