"""Lists and dicts that Keras tracks are the plain ones (A1, S1)."""

import json
from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer

pytestmark = pytest.mark.slow


class Holder(nn.Module):
    held: object = None
    filled: object = jnp.ones

    @nn.compact
    def __call__(self, x):
        return x * self.param("scale", lambda key: jnp.asarray(self.filled((4,), jnp.float32)))


@pytest.mark.law("S1")
def test_lists_that_keras_tracks_are_stored_as_plain_ones():
    model = keras.Sequential()
    model.sizes, model.table = [1, [2]], {"a": [3]}
    config = FlaxLayer(Holder((model.sizes, model.table))).get_config()
    stored = json.dumps(config["module"]).replace(Path(__file__).stem, "")
    assert "keras" not in stored
    assert FlaxLayer.from_config(config).module.held == ([1, [2]], {"a": [3]})


X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)
Y = np.asarray([[2.0, 4.0, 8.0]] * 2, np.float32)


class Sums(nn.Module):
    @nn.compact
    def __call__(self, value):
        if isinstance(value, dict):
            value = [value["x"], *value["y"]]
        assert type(value) is list
        return sum(value)


@pytest.mark.law("A1")
def test_the_lists_and_dicts_that_keras_tracks_are_plain_ones():
    class Holds(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = FlaxLayer(Sums())
            self.values = [X, Y]
            self.named = {"x": X, "y": [Y, Y]}

        def call(self, x):
            return self.layer(self.values) + self.layer(self.named) + self.layer([x, x])

    np.testing.assert_allclose(Holds()(X), 4 * X + 3 * Y)
