"""Kinds of nnx modules in a layer, each beside the same object called by itself."""

import functools
import os
import pathlib
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from packages.layer.tests.needs import needs_nnx

pytestmark = needs_nnx

X = np.linspace(-1, 1, 24, dtype="float32").reshape(2, 4, 3)


def agree(layer, x, *, training):
    """The layer and its module in plain NNX give the same, and change the same state."""
    raw = layer.to_module()
    (raw.train if training else raw.eval)()
    nnx.reseed(raw, policy="match_shape", **layer.peek_rngs(training=training))
    expected = nnx.jit(lambda module, x: module(x))(raw, x)
    np.testing.assert_allclose(layer(x, training=training), expected, rtol=1e-5, atol=1e-6)
    after = layer.to_module()
    for kind in (nnx.BatchStat, nnx.Cache):
        ours, theirs = (jax.tree.leaves(nnx.state(m, kind)) for m in (after, raw))
        for left, right in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


class Stack(nnx.Module):
    """Three layers whose params are stacked, run by a scan."""

    def __init__(self, *, rngs):
        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=(0,), out_axes=0)
        def make(rngs):
            return Residual(rngs=rngs)

        self.layers = make(rngs)

    def __call__(self, x):
        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        def run(layer, x):
            return layer(x)

        return run(self.layers, x)


class Residual(nnx.Module):
    def __init__(self, *, rngs):
        self.dense = nnx.Linear(3, 3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return x + self.dropout(nnx.tanh(self.dense(x)))


@pytest.mark.parametrize("training", [False, True])
def test_stacked_layers(training):
    layer = FlaxLayer(Stack, seed=1)
    layer.build(X.shape)
    assert layer.params["params"]["layers"]["dense"]["kernel"].shape == (3, 3, 3)
    assert set(layer.peek_rngs(training=True)) == {"dropout"}
    assert layer.peek_rngs(training=False) == {}
    agree(layer, X, training=training)


@pytest.mark.parametrize("cell", [nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell, nnx.SimpleCell])
def test_recurrent_layers(cell):
    def make(rngs):
        return nnx.RNN(cell(3, 4, rngs=rngs))

    layer = FlaxLayer(make, seed=1)
    layer.build(X.shape)
    agree(layer, X, training=True)


def test_sequential_and_mapped_containers():
    def make(rngs):
        return nnx.Sequential(
            nnx.Linear(3, 4, rngs=rngs), nnx.relu, nnx.BatchNorm(4, rngs=rngs), jnp.tanh
        )

    layer = FlaxLayer(make)
    layer.build(X.shape)
    assert {v.path.split("/")[2] for v in layer.weights} == {"layers"}
    for training in (True, False):
        agree(layer, X, training=training)


def test_a_linen_module_in_nnx():
    module = nnx.bridge.ToNNX(nn.Dense(4), rngs=nnx.Rngs(0))
    layer = FlaxLayer(nnx.bridge.lazy_init(module, X))
    layer.build(X.shape)
    assert {v.shape for v in layer.trainable_variables} == {(3, 4), (4,)}
    agree(layer, X, training=False)


def test_an_nnx_module_in_linen():
    module = nnx.bridge.to_linen(nnx.Linear, 3, out_features=4)
    layer = FlaxLayer(module, seed=3)
    y = layer(X)
    assert layer.trainable_variables
    np.testing.assert_allclose(y, module.apply(layer.flax_variables(), X), rtol=1e-6)


class Pair(nnx.Module):
    """Keeps two dictionaries of arrays in one variable, with metadata of its own."""

    def __init__(self):
        value = {"sum": jnp.zeros(3), "steps": jnp.zeros((), jnp.int32)}
        self.seen = nnx.BatchStat(value, purpose="statistics")

    def __call__(self, x):
        seen = self.seen.get_value() if hasattr(self.seen, "get_value") else self.seen.value
        new = {"sum": seen["sum"] + x.sum((0, 1)), "steps": seen["steps"] + 1}
        set_value = getattr(self.seen, "set_value", None)
        set_value(new) if set_value else setattr(self.seen, "value", new)
        return x + new["sum"]


def test_a_variable_of_several_arrays_with_metadata():
    layer = FlaxLayer(Pair())
    layer.build(X.shape)
    assert {"/".join(v.path.split("/")[1:]) for v in layer.weights} == {
        "batch_stats/seen/sum",
        "batch_stats/seen/steps",
    }
    for _ in range(2):
        agree(layer, X, training=True)
    assert layer.to_module().seen.get_metadata()["purpose"] == "statistics"


def test_names_of_axes_stay_with_a_param():
    init = nnx.with_partitioning(nnx.initializers.lecun_normal(), ("rows", None))
    mesh = jax.make_mesh((1,), ("rows",))
    with jax.set_mesh(mesh) if hasattr(jax, "set_mesh") else mesh:
        layer = FlaxLayer(functools.partial(nnx.Linear, 3, 4, kernel_init=init))
        layer.build(X.shape)
        metadata = layer.to_module().kernel.get_metadata()
    assert ("rows", None) in metadata.values()


NNX_ENABLED = """
import functools, keras, numpy as np
import flax.linen as nn
from flax import nnx
from flaxlayer import FlaxLayer
x = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
for module in (nn.Dense(1), functools.partial(nnx.Linear, 3, 1)):
    layer = FlaxLayer(module, seed=1)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile("sgd", "mse")
    before = np.asarray(layer.flax_variables()["params"]["kernel"])
    model.fit(x, x[:, :1], epochs=2, verbose=0)
    after = layer.flax_variables()["params"]["kernel"]
    assert (before != np.asarray(after)).any()
    raw = x @ np.asarray(after) + np.asarray(layer.flax_variables()["params"]["bias"])
    np.testing.assert_allclose(model.predict(x, verbose=0), raw, rtol=1e-5, atol=1e-6)
assert isinstance(layer, nnx.Module)
"""
OLD_KERAS = tuple(map(int, keras.__version__.split(".")[:2])) < (3, 11)


@pytest.mark.slow
@pytest.mark.jax_only("Keras has its nnx mode on JAX alone")
@pytest.mark.skipif(OLD_KERAS, reason="Keras has no nnx mode before 3.11")
def test_layers_work_where_keras_itself_runs_on_nnx():
    environment = {**os.environ, "KERAS_NNX_ENABLED": "true"}
    root = str(pathlib.Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", NNX_ENABLED],
        env=environment,
        capture_output=True,
        text=True,
        cwd=root,
    )
    assert done.returncode == 0, done.stderr[-2000:]
