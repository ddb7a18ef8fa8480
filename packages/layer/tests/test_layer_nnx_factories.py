"""What makes a module of nnx, in the place of a module."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import variable_value
from packages.layer.tests.needs import needs_nnx

pytestmark = needs_nnx

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


class Tables(nnx.Module):
    def __init__(self, width=3, *, rngs):
        drawn = jax.random.normal(rngs.params(), (width,))
        self.dense = nnx.Linear(3, width, rngs=rngs)
        self.table, self.again = drawn, drawn
        self.counted = np.arange(width, dtype="float32")
        self.items = nnx.List([jnp.ones(width), drawn])
        self.rates = tuple(float(rate) for rate in jnp.linspace(0.0, 0.5, 3))
        shift = jnp.arange(1.0, width + 1)
        self.shift = lambda x: x + shift

    def __call__(self, x):
        y = self.dense(x) * self.table + self.counted
        return self.shift(y + self.items[1] + self.again) * self.rates[1]


@pytest.mark.law("B2")
def test_arrays_of_a_constructor_train_and_are_stored(tmp_path, close):
    layer = FlaxLayer(Tables, seed=3)
    model = keras.Sequential([keras.Input((3,)), layer])
    raw = Tables(rngs=nnx.Rngs(**layer.init_rngs()))
    close(np.asarray(model(X)), np.asarray(raw(X)))
    close(np.asarray(layer.flax_variables()["arrays"]["table"]), np.asarray(raw.table))

    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, X, batch_size=4, epochs=2, verbose=0)

    def loss(module):
        return jnp.mean((module(X) - X) ** 2)

    for _ in range(2):
        gradients = nnx.grad(loss)(raw)
        for name in ("kernel", "bias"):
            param, gradient = getattr(raw.dense, name), getattr(gradients.dense, name)
            param[...] = variable_value(param) - 0.1 * variable_value(gradient)
    close(
        np.asarray(layer.flax_variables()["params"]["dense"]["kernel"]),
        np.asarray(variable_value(raw.dense.kernel)),
        rtol=1e-4,
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    close(np.asarray(loaded(X)), np.asarray(model(X)))
