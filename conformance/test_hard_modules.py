"""Modules beyond what the strategies draw: caches, boxes, keys, complex and integer params."""

from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_testing import check_module

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
SEQUENCE = np.random.default_rng(0).normal(size=(2, 1, 8)).astype(np.float32)


class Boxed(nn.Module):
    @nn.compact
    def __call__(self, x):
        init = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
        return nn.Dense(4, kernel_init=init)(x)


class IntegerParam(nn.Module):
    @nn.compact
    def __call__(self, x):
        order = self.param("order", lambda _: jnp.arange(6)[::-1])
        return nn.Dense(2)(x[:, order])


class ComplexParam(nn.Module):
    @nn.compact
    def __call__(self, x):
        return jnp.abs(x @ self.param("w", nn.initializers.normal(), (6, 2), jnp.complex64))


class KeepsAKey(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        key = self.variable("keys", "key", lambda: jax.random.key(3))
        y = x + jax.random.normal(key.value, x.shape)
        if train:
            key.value = jax.random.split(key.value)[0]
        return y


class Spectral(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.SpectralNorm(nn.Dense(3))(x, update_stats=train)


@flax.struct.dataclass
class Outputs:
    hidden: Any
    rest: Any


class Structured(nn.Module):
    @nn.compact
    def __call__(self, x, *, sign=1, scale=None):
        hidden = nn.Dense(2)(x) * sign
        hidden = hidden if scale is None else hidden * scale
        return Outputs(hidden, {"total": (hidden.sum(), None)})


@pytest.mark.law("T2")
@pytest.mark.parametrize(
    ("module", "x"),
    [
        (Boxed(), X),
        (IntegerParam(), X),
        (ComplexParam(), X),
        (KeepsAKey(), X),
        (Spectral(), X),
        (Structured(), X),
        (nn.MultiHeadDotProductAttention(2, decode=True, qkv_features=8), SEQUENCE),
        (nn.remat(nn.Dense)(3), X),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_hard_module_passes_every_check(module, x):
    check_module(module, x).raise_for_failures()


@pytest.mark.law("T2")
def test_static_and_array_keywords_reach_the_method():
    check_module(Structured(), X, sign=-1, scale=np.float32(2.0)).raise_for_failures()
