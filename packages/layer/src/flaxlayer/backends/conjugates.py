"""Gradients of complex functions as TensorFlow and torch have them: the conjugates of JAX's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from flaxlayer.typing import FlatCallable

__all__ = ["conjugate", "conjugated"]


def conjugate(arrays: Sequence[jax.Array]) -> list[jax.Array]:
    """Returns the conjugates of complex arrays, others as they are."""
    return [
        jnp.conj(array) if jnp.issubdtype(array.dtype, jnp.complexfloating) else array
        for array in arrays
    ]


def conjugated(gradients: FlatCallable, count: int) -> Callable[..., list[jax.Array]]:
    """Returns gradients in the sense of TensorFlow and torch.

    Args:
        gradients: What `vjp_function` returns.
        count: How many arrays stand before the cotangents.
    """

    def function(*arrays: jax.Array) -> list[jax.Array]:
        return conjugate(gradients(*arrays[:count], *conjugate(arrays[count:])))

    return function
