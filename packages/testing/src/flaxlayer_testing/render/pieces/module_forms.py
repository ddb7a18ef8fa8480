"""Modules of forms that a single `__call__` does not have: shared scopes, inheritance, helpers."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = [
    "Adapted",
    "Apart",
    "Gained",
    "Helped",
    "Shifted",
]


class Adapted(nn.Module):
    """A dense layer with a low-rank addition, whose params stand in one scope."""

    features: int

    def setup(self) -> None:
        """Makes the layers."""
        self.base = nn.Dense(self.features)
        nn.share_scope(self, self.base)
        self.down = nn.Dense(1, use_bias=False)
        self.up = nn.Dense(self.features, use_bias=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the module."""
        return self.base(x) + self.up(self.down(x))


class Helped(nn.Module):
    """Layers that a helper without a scope of its own makes."""

    features: int

    @nn.nowrap
    def make_layer(self, name: str) -> nn.Dense:
        """Makes a layer."""
        return nn.Dense(self.features, name=name)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the module."""
        first, second = self.make_layer("first"), self.make_layer("second")
        return second(nn.tanh(first(x)))


class Apart(nn.Module):
    """Two compact methods, each with a scope of its own."""

    features: int

    @nn.compact_name_scope
    def up(self, x: jax.Array) -> jax.Array:
        """Makes more features."""
        return nn.Dense(4)(x)

    @nn.compact_name_scope
    def down(self, x: jax.Array) -> jax.Array:
        """Makes fewer features."""
        return nn.Dense(self.features)(x)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the module."""
        return self.down(nn.tanh(self.up(x)))


class Gained(nn.Module):
    """A field, and a method that others extend."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the module."""
        return self.project(x)

    def project(self, x: jax.Array) -> jax.Array:
        """Applies the layer."""
        return nn.Dense(self.features, name="project")(x)


class Shifted(Gained):
    """A class of another's fields and methods, with a field of its own."""

    shift: float = 0.5

    def project(self, x: jax.Array) -> jax.Array:
        """Applies the layer."""
        return super().project(x) + jnp.asarray(self.shift, x.dtype)
