"""Methods of a module as layers that share its weights (A3)."""

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, FlaxMethod
from flaxlayer_core import BuildModuleError, InspectMethodError

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
def test_a_method_layer_computes_what_raw_apply_computes_with_the_method(raw_apply, same_bits):
    layer = built()
    code = layer.method("encode")
    expected, _ = raw_apply(layer, X, method="encode")
    same_bits(code(X), expected)


@pytest.mark.law("A3")
def test_a_method_layer_writes_state_to_the_layer_it_came_from(raw_apply, same_bits):
    layer = built()
    code = layer.method(Coder.encode)
    _, updates = raw_apply(layer, X, training=True, flags=[("train", True)], method="encode")
    code(X, training=True)
    same_bits(layer.flax_variables()["batch_stats"], updates["batch_stats"])


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
