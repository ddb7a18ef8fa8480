"""Modules that name an axis for collectives, as those that were trained by `jax.pmap` (A6)."""

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer

pytestmark = pytest.mark.law("A6")

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = np.tanh(X[:, :2])


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, axis_name="batch")(nn.Dense(2)(x))
        return nn.Dropout(0.3, deterministic=not train)(x)


class Graph(nnx.Module):
    def __init__(self, *, rngs):
        self.dense = nnx.Linear(3, 2, rngs=rngs)
        self.norm = nnx.BatchNorm(2, axis_name="batch", rngs=rngs)

    def __call__(self, x):
        return self.norm(self.dense(x))


def raw(variables, x, rngs):
    """The module in an axis of one element, which is the whole batch."""

    def run(x):
        return Net().apply(variables, x, train=True, rngs=rngs, mutable=["batch_stats"])

    return jax.tree_util.tree_map(lambda leaf: leaf[0], jax.vmap(run, axis_name="batch")(x[None]))


@pytest.mark.jax_only("the bits of JAX")
def test_a_call_is_raw_flax_in_an_axis_of_the_whole_batch(same_bits):
    layer = FlaxLayer(Net(), seed=3)
    layer.build(X.shape)
    variables, rngs = layer.flax_variables(), layer.peek_rngs(training=True)
    outputs, updates = jax.jit(raw)(variables, X, rngs)
    same_bits(np.asarray(layer(X, training=True)), outputs)
    same_bits(layer.flax_variables()["batch_stats"], updates["batch_stats"])
    same_bits(np.asarray(layer(X)), jax.jit(Net().apply)(layer.flax_variables(), X))


@pytest.mark.jax_only("the axis is one of JAX")
def test_an_axis_around_the_call_is_the_one_of_the_module(close):
    layer = FlaxLayer(nn.BatchNorm(use_running_average=False, axis_name="batch"))
    layer.build((None, 3))
    values = [[v.value for v in vs] for vs in (layer.trainable_variables, layer.variables[2:])]
    parts = X.reshape(4, 2, 3)
    found = jax.vmap(lambda x: layer.stateless_call(*values, x)[0], axis_name="batch")(parts)
    whole = nn.BatchNorm(use_running_average=False)
    expected, _ = whole.apply(layer.flax_variables(), X, mutable=["batch_stats"])
    close(np.asarray(found).reshape(8, 3), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("module", [Net(), Graph], ids=["linen", "nnx"])
def test_such_a_module_trains_in_fit_and_is_stored(module, tmp_path, same_bits):
    layer = FlaxLayer(module)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile("sgd", "mse")
    before = layer.get_weights()
    model.fit(X, Y, epochs=2, verbose=0)
    assert any((old != new).any() for old, new in zip(before, layer.get_weights(), strict=True))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(
        tmp_path / "model.keras", custom_objects={"Net": Net, "Graph": Graph}
    )
    same_bits(again.predict(X, verbose=0), model.predict(X, verbose=0))
