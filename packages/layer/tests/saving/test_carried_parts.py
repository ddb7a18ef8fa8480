"""Copies and pickles of what no file can hold."""

import copy
import pickle

import flax.linen as nn
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import DecodeModuleError, EncodeModuleError

pytestmark = pytest.mark.law("S4")

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


class Scale:
    def __init__(self, factor):
        self.factor = factor


class Unstorable(nn.Module):
    scale: Scale

    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=False)(nn.Dense(3)(x)) * self.scale.factor


if hasattr(nnx, "data"):

    class Untold(nnx.Module):
        def __init__(self, *, rngs):
            self.dense = nnx.Linear(3, 3, rngs=rngs)
            self.norm = nnx.BatchNorm(3, rngs=rngs)

        def __call__(self, x):
            return self.norm(self.dense(x))


def linen():
    return Unstorable(Scale(2.0))


def of_nnx():
    if not hasattr(nnx, "data"):
        pytest.skip("nnx modules ask for Flax 0.11")
    return Untold(rngs=nnx.Rngs(0))


def sequential(layer):
    return keras.Sequential([keras.Input((3,)), layer])


def functional(layer):
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}


def trained(make, module):
    model = make(FlaxLayer(module, seed=3))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, X[:, :1], batch_size=4, verbose=0)
    return model


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("module", [linen, of_nnx])
def test_a_trained_model_is_copied(module, way, close):
    model = trained(functional, module())
    expected = np.asarray(model(X))
    again = COPIES[way](model)
    close(np.asarray(again(X)), expected)
    model.fit(X, X[:, :1], batch_size=4, verbose=0)  # they share nothing
    close(np.asarray(again(X)), expected)
    again.fit(X, X[:, :1], batch_size=4, verbose=0)
    close(np.asarray(again(X)), np.asarray(model(X)))


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("module", [linen, of_nnx])
def test_a_layer_is_copied_built_or_not(module, way, close):
    layer = FlaxLayer(module(), seed=3)
    fresh = COPIES[way](layer)
    layer(X, training=True)
    again = COPIES[way](layer)
    close(np.asarray(again(X)), np.asarray(layer(X)))
    close(np.asarray(again(X, training=True)), np.asarray(layer(X, training=True)))
    unmoved = FlaxLayer(module(), seed=3)
    close(np.asarray(fresh(X)), np.asarray(unmoved(X)))


@pytest.mark.parametrize("module", [linen, of_nnx])
def test_a_model_is_cloned(module, close):
    model = trained(functional, module())
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    close(np.asarray(clone(X)), np.asarray(model(X)))


def test_what_is_made_in_a_function_is_copied(close):
    layer = FlaxLayer(Unstorable(lambda: 2.0), method=lambda module, x: module.scale() * x)
    again = copy.deepcopy(layer)
    close(np.asarray(again(X)), 2.0 * X)
    with pytest.raises(EncodeModuleError, match=r"(?s)Unstorable\.scale.*a lambda"):
        pickle.dumps(layer)


def test_another_method_is_copied_with_its_layer(close):
    layer = FlaxLayer(linen(), seed=3)
    scaled = layer.method(lambda module, x: module.scale.factor * x)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, scaled(layer(inputs)))
    again = copy.deepcopy(model)
    close(np.asarray(again(X)), np.asarray(model(X)))


@pytest.mark.parametrize("module", [linen, of_nnx])
@pytest.mark.law("S1")
def test_a_file_holds_none(module, tmp_path):
    layer = FlaxLayer(module())
    model = sequential(layer)
    for store in (layer.get_config, model.to_json, lambda: model.save(tmp_path / "m.keras")):
        with pytest.raises(EncodeModuleError, match="Cannot store"):
            store()


@pytest.mark.law("S2")
def test_a_pickle_in_a_configuration_is_not_read():
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("the file was executed",)

    import base64

    pickled = base64.b64encode(pickle.dumps(Bomb())).decode("ascii")
    config = FlaxLayer(nn.Dense(3)).get_config()
    for carried in ({"pickled": pickled}, {"copied": "0" * 32}, {"copied": None}, {}):
        for part in ("module", "method"):
            stored = {"$type": "flaxlayer.carried", "part": part, **carried}
            with pytest.raises(DecodeModuleError, match="what a file can hold"):
                FlaxLayer.from_config({**config, part: stored})
