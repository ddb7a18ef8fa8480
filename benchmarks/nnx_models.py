"""The nnx models that are timed, of the sizes of `benchmarks.models`."""

from __future__ import annotations

import jax
from flax import nnx

__all__ = ["CNN", "MLP", "Transformer"]


class MLP(nnx.Module):
    """Three dense layers."""

    def __init__(self, features: int = 64, *, rngs: nnx.Rngs) -> None:
        self.first, self.second, self.last = (
            nnx.Linear(features, features, rngs=rngs) for _ in range(3)
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(nnx.relu(self.second(nnx.relu(self.first(x)))))


class Block(nnx.Module):
    """One layer of a transformer, with normalisation first."""

    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.first_norm = nnx.LayerNorm(width, rngs=rngs)
        self.attend = nnx.MultiHeadAttention(4, width, dropout_rate=0.1, decode=False, rngs=rngs)
        self.second_norm = nnx.LayerNorm(width, rngs=rngs)
        self.widen = nnx.Linear(width, 4 * width, rngs=rngs)
        self.narrow = nnx.Linear(4 * width, width, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attend(self.first_norm(x))
        hidden = self.narrow(nnx.gelu(self.widen(self.second_norm(x))))
        return x + self.dropout(hidden)


class Transformer(nnx.Module):
    """A transformer encoder."""

    def __init__(self, depth: int = 12, width: int = 128, *, rngs: nnx.Rngs) -> None:
        self.blocks = nnx.List([Block(width, rngs=rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class CNN(nnx.Module):
    """A small image classifier."""

    def __init__(self, classes: int = 10, *, rngs: nnx.Rngs) -> None:
        self.convs = nnx.List(
            [nnx.Conv(1, 16, (3, 3), rngs=rngs), nnx.Conv(16, 32, (3, 3), rngs=rngs)]
        )
        self.norms = nnx.List([nnx.BatchNorm(16, rngs=rngs), nnx.BatchNorm(32, rngs=rngs)])
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.head = nnx.Linear(4 * 4 * 32, classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = nnx.max_pool(nnx.relu(norm(conv(x))), (2, 2), strides=(2, 2))
        return self.head(self.dropout(x.reshape(x.shape[0], -1)))
