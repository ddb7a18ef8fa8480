"""Layers that were given what makes their module."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer

pytestmark = pytest.mark.law("S5")

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)

MODULE = """
import dataclasses
from typing import Any
import flax.linen as nn
from flax import nnx

class Scale:
    def __init__(self, factor):
        self.factor = factor

class Net(nn.Module):
    width: int = 4
    scale: Any = None  # no file can hold it

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(3)(nn.relu(nn.Dense(self.width)(x)))
        return x if self.scale is None else x * self.scale.factor

    @classmethod
    def wide(cls, width=8):
        return cls(width)

def build(width=3, *, factor=2.0):
    return Net(width, Scale(factor))

class Small(nnx.Module):
    def __init__(self, width, *, rngs):
        self.dense = nnx.Linear(3, width, rngs=rngs)
        self.head = nnx.Linear(width, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(self.dense(x))

    @classmethod
    def narrow(cls, *, rngs):
        return cls(2, rngs=rngs)

def small(width, *, rngs):
    return Small(width, rngs=rngs)
"""

LOAD = """
import keras
import numpy as np
import flaxlayer
import factories

for name in ("build", "Net", "Small", "small"):
    flaxlayer.register(getattr(factories, name))
model = keras.saving.load_model("model.keras")
np.save("loaded.npy", keras.ops.convert_to_numpy(model(np.load("x.npy"))))
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    (tmp_path / "factories.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    import factories

    yield factories
    del sys.modules["factories"]


@pytest.mark.slow
def test_a_trained_model_of_factories_loads_where_they_are_registered(factories, tmp_path, close):
    pytest.importorskip("flax", minversion="0.11")
    makers = [
        functools.partial(factories.build, 5, factor=0.5),
        factories.Net.wide,
        factories.Small.narrow,
        functools.partial(factories.small, 4),
    ]
    model = keras.Sequential([keras.Input((3,)), *map(FlaxLayer, makers)])
    assert model.layers[0].module.scale.factor == 0.5
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, X, epochs=2, batch_size=2, verbose=0)
    expected = np.asarray(model(X))
    model.save("model.keras")
    np.save("x.npy", X)
    subprocess.run([sys.executable, "-c", LOAD], cwd=tmp_path, check=True)
    close(np.load("loaded.npy"), expected)

    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    close(np.asarray(clone(X)), expected)


@pytest.mark.law("A5")
def test_a_layer_of_a_factory_is_a_layer_of_its_module(factories, same_bits):
    made = FlaxLayer(functools.partial(factories.build, 5, factor=0.5), seed=3)
    plain = FlaxLayer(factories.Net(5, factories.Scale(0.5)), seed=3)
    same_bits(np.asarray(made(X)), np.asarray(plain(X)))
    again = FlaxLayer.from_config(made.get_config())
    same_bits(np.asarray(again(X)), np.asarray(plain(X)))
