"""Build finds everything abstractly, anywhere, and starts from Flax's own initial values (§6)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import (
    BuildModuleError,
    MatchVariablesError,
)

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Dense(3)(x))
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dense(2)(nn.Dropout(0.5, deterministic=not train)(x))


def eager(layer):
    layer(X)


def by_shape(layer):
    layer.build((None, 4))


def functional(layer):
    layer(keras.Input((4,)))


def in_stateless_scope(layer):
    with keras.StatelessScope():
        layer(X)


def in_subclassed_fit(layer):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.net = layer

        def call(self, x, training=False):
            return self.net(x, training=training)

    model = Model()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(X, X[:, :2], verbose=0)


@pytest.mark.law("B3")
@pytest.mark.law("B2")
@pytest.mark.parametrize(
    "build", [eager, by_shape, functional, in_stateless_scope, in_subclassed_fit]
)
def test_build_works_anywhere_with_the_values_of_module_init(build, same_bits):
    layer = FlaxLayer(Net(), seed=1)
    build(layer)
    assert layer.built
    expected = Net().init(layer.init_rngs(), X, train=True)
    same_bits(layer.flax_variables()["params"], expected["params"])


@pytest.mark.law("B3")
@pytest.mark.law("B2")
def test_build_works_in_a_trace_with_the_values_of_module_init(compiled, same_bits):
    layer = FlaxLayer(Net(), seed=1)
    compiled(layer)(X)
    expected = Net().init(layer.init_rngs(), X, train=True)
    same_bits(layer.flax_variables()["params"], expected["params"])


@pytest.mark.law("B2")
def test_values_that_depend_on_the_inputs_come_from_the_inputs_at_hand(same_bits):
    class Centred(nn.Module):
        @nn.compact
        def __call__(self, x):
            mean = self.param("mean", lambda key: x.mean(0))
            return x - mean

    layer = FlaxLayer(Centred())
    layer(X)
    same_bits(layer.flax_variables(), Centred().init(layer.init_rngs(), X))
    blind = FlaxLayer(Centred())
    blind.build((None, 4))
    ones = jnp.ones((2, 4))
    same_bits(blind.flax_variables(), Centred().init(blind.init_rngs(), ones))


@pytest.mark.law("B2")
def test_a_variable_that_only_inference_makes_is_there_from_the_start():
    class Caches(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            if not train:
                cache = self.variable("cache", "last", jnp.zeros, (4,))
                if not self.is_initializing():
                    cache.value = x[0]
            return nn.Dense(2)(x)

    layer = FlaxLayer(Caches(), name="net")
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    assert not np.asarray(layer.flax_variables()["cache"]["last"]).any()
    model.predict(X, verbose=0)
    layer(X)
    np.testing.assert_array_equal(layer.flax_variables()["cache"]["last"], X[0])


@pytest.mark.law("B1")
def test_no_array_is_made_before_it_is_known_that_the_module_fits():
    class Huge(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.param("table", nn.initializers.normal(), (1 << 40,))
            return x.reshape(3, 5)

    with pytest.raises(BuildModuleError, match="reshape"):
        FlaxLayer(Huge())(X)


@pytest.mark.law("B1")
def test_a_param_that_depends_on_an_unknown_dimension_is_refused_by_its_name():
    class Flat(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x.reshape(x.shape[0], -1))

    layer = FlaxLayer(Flat(), name="flat")
    with pytest.raises(BuildModuleError) as caught:
        layer(keras.Input((None, 3)))
    assert str(caught.value).splitlines()[0] == (
        "Layer 'flat' (module Flat) cannot be built: the shape of 'params/Dense_0/kernel' depends "
        "on the unknown dimension of axis 1."
    )
    assert not layer.built
    layer(np.ones((2, 5, 3), np.float32))


@pytest.mark.law("B4")
def test_given_variables_are_used_and_the_rest_is_initialised(same_bits):
    variables = Net().init(jax.random.key(7), X, train=True)
    whole = FlaxLayer(Net(), variables=variables)
    whole(X)
    same_bits(whole.flax_variables(), dict(variables))
    part = FlaxLayer(
        Net(), variables={"params": {"Dense_1": variables["params"]["Dense_1"]}}, seed=1
    )
    part(X)
    expected = Net().init(part.init_rngs(), X, train=True)["params"]
    expected["Dense_1"] = variables["params"]["Dense_1"]
    same_bits(part.flax_variables()["params"], expected)


@pytest.mark.law("B4")
def test_given_arrays_live_on_when_the_layer_is_trained():
    variables = Net().init(jax.random.key(7), X, train=True)
    model = keras.Sequential([FlaxLayer(Net(), variables=variables)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], epochs=2, verbose=0)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(variables))


@pytest.mark.law("B4")
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"params": {"Dense_9": {"bias": np.ones(3)}}}, "params/Dense_9/bias: unknown"),
        ({"params": {"Dense_0": {"bias": np.ones(9)}}}, "params/Dense_0/bias: shape [9]"),
    ],
)
def test_given_variables_that_do_not_fit_are_named(given, problem):
    layer = FlaxLayer(Net(), variables=given)
    with pytest.raises(MatchVariablesError) as caught:
        layer(X)
    assert f"Found: {problem}" in str(caught.value).splitlines()
    assert not layer.built


@pytest.mark.law("W1")
def test_weights_have_the_paths_of_the_module():
    layer = FlaxLayer(Net(), name="net")
    layer(X)
    expected = [
        "net/params/BatchNorm_0/bias",
        "net/params/BatchNorm_0/scale",
        "net/params/Dense_0/bias",
        "net/params/Dense_0/kernel",
        "net/params/Dense_1/bias",
        "net/params/Dense_1/kernel",
        "net/batch_stats/BatchNorm_0/mean",
        "net/batch_stats/BatchNorm_0/var",
    ]
    assert [variable.path for variable in layer.weights] == expected
    kernel = layer.params["params"]["Dense_0"]["kernel"]
    assert isinstance(kernel, keras.Variable)
    assert set(layer.state) == {"batch_stats"}


@pytest.mark.law("W2")
def test_to_module_is_the_module_with_the_current_values():
    layer = FlaxLayer(Net())
    layer(X)
    np.testing.assert_allclose(layer.to_module()(jnp.asarray(X)), layer(X), rtol=1e-6)


def test_inputs_that_the_module_refuses_at_build_are_explained():
    layer = FlaxLayer(nn.Conv(3, (3, 3)), name="conv")
    with pytest.raises(ValueError) as caught:
        layer(np.ones((5,), np.float32))
    assert "Layer 'conv' (module Conv) cannot be evaluated" in str(caught.value)
    assert not layer.built
    assert layer.weights == []
    assert layer(np.ones((1, 8, 8, 1), np.float32)).shape == (1, 8, 8, 3)
