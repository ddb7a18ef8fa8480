"""A layer inside a custom layer, built in a symbolic trace, goes by every route; callbacks (S4)."""

import copy
import json
import pickle

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from packages.layer.tests.needs import KERAS

TOKENS = np.array([[1, 2, 3], [4, 5, 6]], np.int32)
TARGETS = np.ones((2, 2), np.float32)


class Tok(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        return nn.Dense(2)(nn.Embed(10, 4)(tokens).mean(1))


class NnxTok(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(10, 4, rngs=rngs)
        self.dense = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, tokens):
        return self.dense(self.embed(tokens).mean(1))


MODULES = {"linen": Tok(), "nnx": NnxTok}


@keras.saving.register_keras_serializable(package="inside")
class Block(keras.layers.Layer):
    """Has the layer as an argument of its configuration."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x)

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "inner": keras.saving.deserialize_keras_object(config["inner"])})


def model_of(module):
    tensor = keras.Input((None,), dtype="int32")
    model = keras.Model(tensor, Block(FlaxLayer(MODULES[module]))(tensor))
    rng = np.random.default_rng(1)
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.0, variable.shape))
    return model


def by_file(model, folder):
    model.save(folder / "m.keras")
    return keras.saving.load_model(folder / "m.keras")


def by_json(model, folder):
    json.loads(model.to_json())
    return with_weights(model, keras.models.model_from_json(model.to_json()), folder)


def by_clone(model, folder):
    return with_weights(model, keras.models.clone_model(model), folder)


def with_weights(model, again, folder):
    model.save_weights(folder / "m.weights.h5")
    again.load_weights(folder / "m.weights.h5")
    return again


ROUTES = {
    "file": by_file,
    "json": by_json,
    "clone": by_clone,
    "copy": lambda model, folder: copy.deepcopy(model),
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
}


@pytest.mark.law("S4")
@pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer")
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("route", ROUTES)
def test_a_layer_inside_a_custom_layer_goes_by_every_route(route, module, tmp_path, same_bits):
    model = model_of(module)
    again = ROUTES[route](model, tmp_path)
    same_bits(again.get_weights(), model.get_weights())
    same_bits(again.predict(TOKENS, verbose=0), model.predict(TOKENS, verbose=0))


@pytest.mark.law("S4")
@pytest.mark.parametrize("first", ["output spec", "scope"])
def test_a_layer_that_was_first_built_in_a_trace_is_stored_with_plain_sizes(first):
    layer, tensor = FlaxLayer(nn.Dense(2)), keras.KerasTensor((None, 3))
    if first == "output spec":
        layer.compute_output_spec(tensor)
    elif keras.backend.backend() == "torch" or KERAS < (3, 14):
        pytest.skip("Keras traces the layer with sizes of its own making")
    else:
        keras.layers.Lambda(lambda x: layer(x)).compute_output_spec(tensor)
    config = json.loads(json.dumps(layer.get_build_config()))
    assert config["arrays"] == [[[None, 3], "float32"]]


def saved_only(folder):
    return keras.callbacks.ModelCheckpoint(folder / "m.weights.h5", save_weights_only=True)


def saved_whole(folder):
    return keras.callbacks.ModelCheckpoint(folder / "m.keras")


@keras.saving.register_keras_serializable(package="inside")
class Within(keras.Model):
    def __init__(self, module="linen", **kwargs):
        super().__init__(**kwargs)
        self.module = module
        self.f = FlaxLayer(MODULES[module])

    def call(self, x):
        return self.f(x)

    def get_config(self):
        return {"module": self.module}


def fitted(module, *callbacks, epochs=2):
    model = Within(module)
    model(TOKENS)  # Keras wants a built model for its backups
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(TOKENS, TARGETS, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model


@pytest.mark.law("W4")
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("callback", [saved_only, saved_whole])
def test_checkpoints_of_fit_hold_the_trained_weights(callback, module, tmp_path, same_bits):
    model = fitted(module, callback(tmp_path))
    if callback is saved_whole:
        again = keras.saving.load_model(tmp_path / "m.keras")
    else:
        again = Within(module)
        again.built = True
        again.load_weights(tmp_path / "m.weights.h5")
    same_bits(again.get_weights(), model.get_weights())


@pytest.mark.law("W4")
def test_an_interrupted_fit_goes_on_where_it_stopped(tmp_path, same_bits):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.kept = self.model.get_weights()
                raise KeyboardInterrupt

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if not hasattr(self, "found"):
                self.epoch, self.found = epoch, self.model.get_weights()

    stop, look = Stop(), Look()
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        fitted("linen", backup, stop, epochs=4)
    fitted("linen", keras.callbacks.BackupAndRestore(tmp_path / "backup"), look, epochs=4)
    assert look.epoch == 2
    same_bits(look.found, stop.kept)


@pytest.mark.law("W4")
def test_the_best_weights_come_back_after_an_early_stop(same_bits):
    class Worsen(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.best = self.model.get_weights()
            logs["quality"] = -float(epoch)

    worsen = Worsen()
    stop = keras.callbacks.EarlyStopping(
        monitor="quality", mode="max", patience=1, restore_best_weights=True
    )
    model = fitted("linen", worsen, stop, epochs=4)
    same_bits(model.get_weights(), worsen.best)


@pytest.mark.law("W4")
def test_the_key_of_a_call_is_among_the_inputs_of_a_file():
    class Noisy(nn.Module):
        @nn.compact
        def __call__(self, x, key):
            return nn.Dense(2)(x) + jax.random.normal(key, (2,))

    layer, store = FlaxLayer(Noisy()), {}
    layer(jnp.ones((2, 3)), jax.random.key(1))
    layer.params["params"]["Dense_0"]["bias"].assign(np.array([3.0, 4.0], np.float32))
    layer.save_own_variables(store)
    again = FlaxLayer(Noisy())
    again.load_own_variables(store)
    assert again.flax_variables()["params"]["Dense_0"]["bias"].tolist() == [3.0, 4.0]
