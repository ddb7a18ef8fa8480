"""Random streams of nnx among stored arguments (A1, S1)."""

import functools

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)


class WithRngs(nn.Module):
    @nn.compact
    def __call__(self, x, *, streams):
        return x * jax.random.uniform(streams.noise()) + jax.random.uniform(streams.noise())


class WithRngsNnx(nnx.Module):
    def __call__(self, x, *, streams):
        return x * jax.random.uniform(streams.noise()) + jax.random.uniform(streams.noise())


@pytest.mark.law("S1")
@pytest.mark.parametrize("make", [WithRngs, WithRngsNnx], ids=["linen", "nnx"])
def test_a_model_whose_layer_was_called_with_streams_is_saved(make, tmp_path, close):
    x = keras.Input((3,))
    streams = nnx.Rngs(noise=5, default=jax.random.key(1, impl="rbg"))
    module = make() if make is WithRngs else functools.partial(_no_rngs, make)
    model = keras.Model(x, FlaxLayer(module)(x, streams=streams))
    rngs = nnx.Rngs(noise=5)
    expected = X * np.asarray(jax.random.uniform(rngs.noise()))
    expected = expected + np.asarray(jax.random.uniform(rngs.noise()))
    close(np.asarray(model(X)), expected, rtol=1e-6, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    close(np.asarray(again(X)), expected, rtol=1e-6, atol=1e-6)


def _no_rngs(make, rngs):
    return make()
