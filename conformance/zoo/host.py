"""Entries for what runs outside of XLA: in Python, and in the libraries of JAX."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from conformance.zoo.entry import Entry, feature

__all__ = ["ENTRIES"]


class CallsPython(nn.Module):
    """An offset that NumPy computes of the inputs, which no gradient passes."""

    @nn.compact
    def __call__(self, x):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        offset = jax.pure_callback(np.floor, shape, jax.lax.stop_gradient(x))
        return nn.Dense(3)(x + offset)


class PrintsValues(nn.Module):
    """Prints where it finds a negative sum, which it never does."""

    @nn.compact
    def __call__(self, x):
        y = nn.Dense(3)(x)

        def tell(total):
            jax.debug.print("the sum is {}", total)

        jax.lax.cond((y**2).sum() < 0, tell, lambda total: None, y.sum())
        return y


class Eigenvalues(nn.Module):
    """The sizes of the eigenvalues of a matrix that is not symmetric."""

    @nn.compact
    def __call__(self, x):
        matrix = self.param("matrix", nn.initializers.normal(), (4, 4))
        return x * jnp.abs(jnp.linalg.eigvals(jnp.diag(jnp.arange(1.0, 5)) + matrix)).sum()


ENTRIES: tuple[Entry, ...] = (
    feature(CallsPython, "pure_callback"),
    feature(PrintsValues, "debug_callback"),
    feature(Eigenvalues, "lapack"),
)
