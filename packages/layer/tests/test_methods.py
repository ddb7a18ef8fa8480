"""Methods of a module as layers that share its weights (A3)."""

import functools

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer, FlaxMethod, register
from flaxlayer_core import (
    AcceptModuleError,
    BuildModuleError,
    EncodeModuleError,
    InspectMethodError,
)

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class Coder(nn.Module):
    def setup(self):
        self.inner = nn.Dense(3)
        self.outer = nn.Dense(4)
        self.norm = nn.BatchNorm(momentum=0.5)

    def encode(self, x, train=False):
        return self.norm(self.inner(x), use_running_average=not train)

    def decode(self, z):
        return self.outer(z)

    def noisy(self, x, enabled):
        return x + enabled

    def __call__(self, x, train=False):
        return self.decode(self.encode(x, train))


def built():
    layer = FlaxLayer(Coder(), name="coder")
    layer.build((None, 4))
    return layer


@pytest.mark.law("A3")
def test_a_method_layer_computes_what_raw_apply_computes_with_the_method(raw_apply, like_raw):
    layer = built()
    code = layer.method("encode")
    expected, _ = raw_apply(layer, X, method="encode")
    like_raw(code(X), expected)


@pytest.mark.law("A3")
def test_a_method_layer_writes_state_to_the_layer_it_came_from(raw_apply, like_raw):
    layer = built()
    code = layer.method(Coder.encode)
    _, updates = raw_apply(layer, X, training=True, flags=[("train", True)], method="encode")
    code(X, training=True)
    like_raw(layer.flax_variables()["batch_stats"], updates["batch_stats"])


@pytest.mark.law("A3")
def test_two_methods_in_one_model_train_one_set_of_weights():
    layer, tensor = built(), keras.Input((4,))
    code = layer.method("encode", name="encode")
    model = keras.Model(tensor, layer.method("decode", name="decode")(code(tensor)))
    assert {id(v) for v in model.weights} == {id(v) for v in layer.weights}
    before = jax.tree.map(np.array, layer.flax_variables()["params"])
    model.compile("sgd", "mse")
    model.fit(X, X, epochs=2, verbose=0)
    for name in ("inner", "outer"):
        kernel = layer.flax_variables()["params"][name]["kernel"]
        assert not np.array_equal(kernel, before[name]["kernel"])


@pytest.mark.law("A3")
def test_a_method_has_a_training_argument_of_its_own():
    layer = built()
    noisy = layer.method("noisy", training_arg="enabled")
    np.testing.assert_array_equal(noisy(X, training=True), X + 1)
    np.testing.assert_array_equal(noisy(X, training=False), X)


@pytest.mark.law("A3")
def test_a_method_without_an_initialised_layer_says_what_to_do():
    layer = FlaxLayer(Coder())
    with pytest.raises(BuildModuleError, match="not built"):
        layer.method("encode")(X)


@pytest.mark.law("A3")
def test_an_init_method_lets_a_method_be_called_first():
    layer = FlaxLayer(Coder(), init_method="__call__")
    assert layer.method("encode")(X).shape == (2, 3)
    assert set(layer.flax_variables()["params"]) == {"inner", "outer", "norm"}


@pytest.mark.law("A3")
@pytest.mark.parametrize("method", ["absent", "_private", "apply", 7, "__init__"])
def test_a_method_that_does_not_exist_is_refused_when_the_layer_is_made(method):
    with pytest.raises(InspectMethodError, match="no such public method"):
        built().method(method)


@pytest.mark.law("S1")
def test_a_method_layer_s_config_makes_it_again():
    layer = built()
    method = layer.method("noisy", training_arg="enabled", name="noisy")
    again = FlaxMethod.from_config(method.get_config())
    assert again.name == "noisy"
    assert again.layer.module == layer.module
    np.testing.assert_array_equal(again(X, training=True), X + 1)


@pytest.mark.law("C5")
def test_a_frozen_layer_does_not_change_through_its_methods(same_bits):
    layer = built()
    layer.trainable = False
    before = layer.get_weights()
    layer.method("encode")(X, training=True)
    same_bits(layer.get_weights(), before)


@pytest.mark.law("A6")
def test_a_method_layer_is_called_inside_a_trace(compiled):
    layer = built()
    method = layer.method("encode")
    np.testing.assert_allclose(compiled(method)(X), method(X), rtol=1e-6)


class Encoder(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dropout(0.5)(nn.Dense(3)(x), deterministic=not train)


class Pair(nn.Module):
    def setup(self):
        self.encoder = Encoder()
        self.outer = nn.Dense(4)

    def __call__(self, x):
        return self.outer(self.encoder(x))

    @nn.jit
    def encode(self, x):
        return self.encoder(x)


class NnxPair(nnx.Module):
    def __init__(self, *, rngs):
        self.encoder = nnx.Linear(4, 3, rngs=rngs)
        self.outer = nnx.Linear(3, 4, rngs=rngs)

    @nnx.jit
    def encode(self, x):
        return self.encoder(x)

    def scaled(self, x, scale):
        return self.outer(self.encoder(x)) * scale

    __call__ = functools.partialmethod(scaled, scale=2.0)


FORMS = {
    "submodule": (Pair, "encoder"),
    "jitted": (Pair, "encode"),
    "another instance": (Pair, Pair().encode),
    "nnx submodule": (NnxPair, "encoder"),
    "nnx jitted": (NnxPair, "encode"),
    "nnx another instance": (NnxPair, NnxPair(rngs=nnx.Rngs(0)).encode),
    "nnx partial": (NnxPair, None),
}


@pytest.mark.law("A3")
@pytest.mark.parametrize("form", FORMS)
def test_a_method_of_any_form_is_trained_and_stored_by_its_name(form, tmp_path, same_bits):
    cls, method = FORMS[form]
    register(cls)
    register(Encoder)
    # With some seeds dropout leaves nothing of the only batch.
    layer = FlaxLayer(cls() if cls is Pair else cls, method=method, name="coder", seed=1)
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    before = layer.get_weights()
    model.fit(X, model.predict(X, verbose=0) + 1, verbose=0)
    assert any(map(np.any, map(np.subtract, layer.get_weights(), before)))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    same_bits(again.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.law("A3")
@pytest.mark.parametrize("method", ["encoder", "encode", Pair().encode])
def test_a_method_layer_takes_any_form(method, raw_apply, same_bits):
    layer = FlaxLayer(Pair())
    layer(X)
    code = layer.method(method)
    expected, _ = raw_apply(layer, X, method="encode")
    same_bits(code(X), expected)
    again = FlaxMethod.from_config(code.get_config())
    assert again.get_config()["method"] == code.get_config()["method"]


@pytest.mark.law("A2")
def test_a_submodule_gets_the_training_flag():
    layer = FlaxLayer(Pair(), seed=1)
    layer(X)
    code = layer.method("encoder")
    np.testing.assert_array_equal(code(X) != 0, np.ones((2, 3)))
    assert (np.asarray(code(X, training=True)) == 0).any()


@pytest.mark.law("S2")
def test_a_private_method_runs_but_is_in_no_file(raw_apply, same_bits):
    class Hidden(Coder):
        def _halve(self, x):
            return self.inner(x) / 2

    layer = FlaxLayer(Hidden(), name="coder")
    layer.build((None, 4))
    half = layer.method("_halve")
    expected, _ = raw_apply(layer, X, method="_halve")
    same_bits(half(X), expected)
    with pytest.raises(EncodeModuleError, match="'_halve'"):
        half.get_config()


@pytest.mark.law("A3")
@pytest.mark.parametrize("layer", [keras.layers.Dense(2), nn.Dense(2), None])
def test_a_method_is_one_of_a_flax_layer(layer):
    with pytest.raises(AcceptModuleError, match=r"FlaxMethod cannot take .* as its layer"):
        FlaxMethod(layer, "encode")
