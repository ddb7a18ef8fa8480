"""A subclass of the layer may add weights and override `build`; its files hold them too (W5)."""

import flax.linen as nn
import h5py
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class NnxDense(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.dense(x)


MODULES = {"linen": nn.Dense(3), "nnx": NnxDense}


@keras.saving.register_keras_serializable(package="subclasses")
class AtInit(FlaxLayer):
    """Adds weights, a layer and a metric in its constructor."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = self.add_weight(shape=(3,), initializer="ones", name="scale")
        self.steps = self.add_weight(shape=(), trainable=False, name="steps", dtype="int32")
        self.after = keras.layers.Dense(3)
        self.mean = keras.metrics.Mean()
        self.after.build((None, 3))

    def call(self, x, **kwargs):
        return self.after(super().call(x, **kwargs) * self.scale)


@keras.saving.register_keras_serializable(package="subclasses")
class BeforeBuild(FlaxLayer):
    """Adds a weight, of the form of its input, before the module is built."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        super().build(input_shape)

    def call(self, x, **kwargs):
        return super().call(x * self.scale, **kwargs)


@keras.saving.register_keras_serializable(package="subclasses")
class AfterBuild(FlaxLayer):
    """Adds a weight and a layer after the module is built."""

    def build(self, input_shape):
        super().build(input_shape)
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        self.after = keras.layers.Dense(3)
        self.after.build((None, 3))

    def call(self, x, **kwargs):
        return self.after(super().call(x * self.scale, **kwargs))


@keras.saving.register_keras_serializable(package="subclasses")
class OwnBuild(FlaxLayer):
    """Builds what it adds, and nothing else, as a plain Keras layer may."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, x, **kwargs):
        return super().call(x * self.scale, **kwargs)


@keras.saving.register_keras_serializable(package="subclasses")
class Within(keras.Model):
    """Loads the layer before it is built."""

    def __init__(self, kind, module, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.module = kind, module
        self.part = KINDS[kind](MODULES[module])

    def call(self, x, **kwargs):
        return self.part(x)

    def get_config(self):
        return {"kind": self.kind, "module": self.module}


KINDS = {cls.__name__: cls for cls in (AtInit, BeforeBuild, AfterBuild, OwnBuild)}


def changed(model):
    rng = np.random.default_rng(3)
    for variable in model.weights:
        variable.assign(rng.uniform(1.0, 9.0, variable.shape).astype(variable.dtype))
    return [np.asarray(variable) for variable in model.weights]


def name_of(variable):
    return "/params/" in variable.path, variable.path.rsplit("/", 1)[1]


def models(kind, module):
    layer = KINDS[kind](MODULES[module])
    return {
        "sequential": lambda: keras.Sequential([keras.Input((4,)), layer]),
        "subclassed": lambda: Within(kind, module),
    }


@pytest.mark.law("W5")
@pytest.mark.parametrize("model", ["sequential", "subclassed"])
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_subclass_adds_is_in_the_file(kind, module, model, tmp_path, same_bits):
    made = models(kind, module)[model]()
    made(X)
    values = changed(made)
    assert len(values) == {"AtInit": 6, "BeforeBuild": 3, "AfterBuild": 5, "OwnBuild": 3}[kind]
    made.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    found = {name_of(variable): np.asarray(variable) for variable in loaded.weights}
    expected = {name_of(v): value for v, value in zip(made.weights, values, strict=True)}
    assert len(expected) == len(values)
    same_bits(found, expected)
    same_bits(np.asarray(loaded(X)), np.asarray(made(X)))


@pytest.mark.law("W5")
def test_a_file_without_what_a_subclass_added_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((4,)), BeforeBuild(nn.Dense(3))])
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        del file["layers/before_build/vars"]["%own.0"]
    with pytest.raises(ValueError, match=r"missing %own\.0"):
        model.load_weights(tmp_path / "m.weights.h5")


@pytest.mark.law("W5")
@pytest.mark.parametrize("kind", KINDS)
def test_a_subclass_trains_what_it_added(kind):
    layer = KINDS[kind](nn.Dense(3))
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    model.fit(X, np.ones((2, 3), np.float32), verbose=0)
    assert not np.array_equal(layer.scale, np.ones(layer.scale.shape))
    assert any(variable is layer.scale for variable in layer.trainable_variables)


@pytest.mark.law("W5")
def test_a_subclass_may_build_the_module_for_another_shape():
    class Wider(FlaxLayer):
        def build(self, input_shape):
            super().build((*input_shape[:-1], input_shape[-1] + 1))

        def call(self, x, **kwargs):
            return super().call(keras.ops.pad(x, [[0, 0], [0, 1]]), **kwargs)

    layer = Wider(nn.Dense(3))
    assert layer(X).shape == (2, 3)
    assert layer.flax_variables()["params"]["kernel"].shape == (5, 3)


@pytest.mark.law("W5")
@pytest.mark.parametrize("cls", [AtInit, BeforeBuild, AfterBuild])
def test_a_layer_that_a_file_builds_has_what_a_subclass_added_too(cls):
    saved, loaded, store = cls(nn.Dense(3)), cls(nn.Dense(3)), {}
    saved(X)
    saved.scale.assign(np.full(saved.scale.shape, 5.0))
    saved.save_own_variables(store)
    loaded.load_own_variables({key: np.asarray(value) for key, value in store.items()})
    assert loaded.built
    np.testing.assert_array_equal(loaded.scale, saved.scale)
