"""The models that are timed, written so that `keras.layers.FlaxLayer` takes them too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import flax.linen as nn
import jax
import numpy as np

__all__ = ["MODELS", "TimedModel"]


class MLP(nn.Module):
    """Three dense layers."""

    features: int = 64

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        x = inputs
        for _ in range(2):
            x = nn.relu(nn.Dense(self.features)(x))
        return nn.Dense(self.features)(x)


class Block(nn.Module):
    """One layer of a transformer, with normalisation first."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array, training: bool) -> jax.Array:
        attend = nn.MultiHeadDotProductAttention(4, dropout_rate=0.1, deterministic=not training)
        x = x + attend(nn.LayerNorm()(x))
        hidden = nn.gelu(nn.Dense(4 * self.width)(nn.LayerNorm()(x)))
        hidden = nn.Dense(self.width)(hidden)
        return x + nn.Dropout(0.1, deterministic=not training)(hidden)


class Transformer(nn.Module):
    """A transformer encoder."""

    depth: int = 12
    width: int = 128

    @nn.compact
    def __call__(self, inputs: jax.Array, training: bool = False) -> jax.Array:
        x = inputs
        for _ in range(self.depth):
            x = Block(self.width)(x, training)
        return nn.LayerNorm()(x)


class Bottleneck(nn.Module):
    """One block of a ResNet."""

    features: int
    strides: int

    @nn.compact
    def __call__(self, x: jax.Array, training: bool) -> jax.Array:
        def conv(x: jax.Array, features: int, size: int, strides: int = 1) -> jax.Array:
            x = nn.Conv(features, (size, size), strides=strides, use_bias=False)(x)
            return nn.BatchNorm(use_running_average=not training)(x)

        y = nn.relu(conv(x, self.features, 1))
        y = nn.relu(conv(y, self.features, 3, self.strides))
        y = conv(y, 4 * self.features, 1)
        if x.shape != y.shape:
            x = conv(x, 4 * self.features, 1, self.strides)
        return nn.relu(x + y)


class ResNet50(nn.Module):
    """A network of the size of ResNet-50 (He et al., 2015, table 1)."""

    @nn.compact
    def __call__(self, inputs: jax.Array, training: bool = False) -> jax.Array:
        x = nn.Conv(64, (7, 7), strides=2, use_bias=False)(inputs)
        x = nn.relu(nn.BatchNorm(use_running_average=not training)(x))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        for stage, blocks in enumerate((3, 4, 6, 3)):
            for block in range(blocks):
                strides = 2 if stage and not block else 1
                x = Bottleneck(64 * 2**stage, strides)(x, training)
        return nn.Dense(1000)(x.mean((1, 2)))


@dataclass(frozen=True)
class TimedModel:
    """A model and the shape of its inputs.

    Attributes:
        make: Makes the module.
        shape: Shape of the float32 inputs, batch first.
        flag: Whether it takes `training`.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    flag: bool

    def inputs(self) -> np.ndarray:
        """Returns inputs, the same ones each time."""
        return np.random.default_rng(0).normal(size=self.shape).astype(np.float32)


MODELS = {
    "mlp": TimedModel(MLP, (8, 64), flag=False),
    "transformer": TimedModel(Transformer, (1, 8, 128), flag=True),
    "resnet50": TimedModel(ResNet50, (1, 64, 64, 3), flag=True),
}
