"""Functions of a value and a mask of its elements."""

from __future__ import annotations

import jax
import jax.numpy as jnp

__all__ = ["apply_mask", "masked_mean"]


def apply_mask(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Sets masked elements to zero."""
    return jnp.where(mask[..., None], x, jnp.zeros((), x.dtype))


def masked_mean(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Averages the elements that are not masked."""
    weights = mask[..., None].astype(x.dtype)
    return jnp.sum(x * weights, axis=1) / jnp.maximum(jnp.sum(weights, axis=1), 1)
