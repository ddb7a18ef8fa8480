"""Scalars of NumPy, arrays without dimensions, and empty batches as raw Flax takes them (A1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer import FlaxLayer

pytestmark = pytest.mark.law("A1")

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
SCALARS = [
    np.float64(2.5),
    np.float32(2.5),
    np.float16(2.5),
    np.int64(2),
    np.uint8(3),
    np.bool_(True),
    np.complex128(1 + 2j),
    np.array(2.5),
    np.array(2),
    jnp.bfloat16(2.5),
]


class Scaled(nn.Module):
    @nn.compact
    def __call__(self, x, factor):
        return x * self.param("scale", nn.initializers.ones, ()) * factor


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(2)(x))
        return nn.Dropout(0.5, deterministic=not train)(x)


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_a_scalar_has_the_dtype_that_raw_flax_gives_it(scalar, close):
    layer, variables = FlaxLayer(Scaled()), {"params": {"scale": jnp.ones(())}}
    raw = jax.jit(lambda x, factor: Scaled().apply(variables, x, factor))
    for x in (X, X.astype(np.float16), scalar):
        close(np.asarray(layer(x, scalar)), np.asarray(raw(x, scalar)))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)], ids=str)
def test_an_empty_batch_is_one(shape, training, same_results):
    layer, empty = FlaxLayer(Normed(), seed=1), np.zeros(shape, np.float32)
    layer.build_on(empty)
    variables, rngs = layer.flax_variables(), layer.peek_rngs(empty, training=training)

    def raw(variables, rngs, x):
        mutable = ["batch_stats"]
        return Normed().apply(variables, x, train=training, rngs=rngs, mutable=mutable)

    expected, updates = jax.jit(raw)(variables, rngs, empty)
    same_results(layer(empty, training=training), expected)
    same_results(layer.flax_variables()["batch_stats"], updates["batch_stats"])
    assert layer(np.ones((2, *shape[1:]), np.float32)).shape == (2, *shape[1:-1], 2)
