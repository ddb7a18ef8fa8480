"""What the extra arguments of a method do to a value."""

from __future__ import annotations

import enum

import jax
import jax.numpy as jnp

__all__ = ["Side", "add_noise", "add_rows", "apply_function", "halve", "turn"]


class Side(enum.Enum):
    """A side."""

    LEFT = 1
    RIGHT = -1


def apply_function(x: jax.Array, function: str) -> jax.Array:
    """Applies the function of a name."""
    return {"tanh": jnp.tanh, "sin": jnp.sin}[function](x)


def halve(x: jax.Array, times: int) -> jax.Array:
    """Halves a value some times."""
    for _ in range(times):
        x = x / 2
    return x


def turn(x: jax.Array, side: Side) -> jax.Array:
    """Changes the sign of a value on the right side."""
    return x * side.value


def add_rows(x: jax.Array, rows: jax.Array) -> jax.Array:
    """Adds a number to each element of a batch."""
    return x + rows.reshape(rows.shape + (1,) * (x.ndim - 1)).astype(x.dtype)


def add_noise(x: jax.Array, key: jax.Array) -> jax.Array:
    """Adds noise from a key."""
    return x + 0.25 * jax.random.normal(key, x.shape, x.dtype)
