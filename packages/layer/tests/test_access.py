"""The variables of a layer as trees and by path (W1, W2)."""

import jax
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from packages.layer.tests.named_modules import Net, Odd, built, raw_bits, scramble

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


@pytest.mark.law("W1")
def test_a_weight_has_the_path_of_the_module_s_variable():
    assert sorted(variable.path for variable in built().weights) == [
        "net/batch_stats/encoder/BatchNorm_0/mean",
        "net/batch_stats/encoder/BatchNorm_0/var",
        "net/params/Dense_0/bias",
        "net/params/Dense_0/kernel",
        "net/params/encoder/BatchNorm_0/bias",
        "net/params/encoder/BatchNorm_0/scale",
        "net/params/encoder/proj/bias",
        "net/params/encoder/proj/kernel",
    ]


@pytest.mark.law("W1")
def test_paths_are_the_same_in_a_functional_model_and_built_inside_fit():
    tensor = keras.Input((4,))
    functional = keras.Model(tensor, FlaxLayer(Net(), name="net")(tensor))
    lazy = keras.Sequential([FlaxLayer(Net(), name="net")], name="sequential")
    lazy.compile("sgd", "mse")
    lazy.fit(X, np.zeros((2, 2), np.float32), verbose=0)
    expected = {variable.path for variable in built().weights}
    assert {variable.path for variable in functional.weights} == expected
    assert {variable.path.removeprefix("sequential/") for variable in lazy.weights} == expected


@pytest.mark.law("W1")
def test_params_and_state_are_trees_of_the_keras_variables():
    layer = built()
    raw = Net().init(jax.random.key(0), X)
    state = {"batch_stats": raw["batch_stats"]}
    assert jax.tree.structure(layer.params) == jax.tree.structure({"params": raw["params"]})
    assert jax.tree.structure(layer.state) == jax.tree.structure(state)
    leaves = [id(variable) for variable in jax.tree.leaves((layer.params, layer.state))]
    assert leaves[:6] == [id(variable) for variable in layer.trainable_variables]
    assert sorted(leaves) == sorted(id(variable) for variable in layer.weights)


@pytest.mark.law("W1")
def test_params_and_state_are_none_before_build():
    layer = FlaxLayer(Net())
    assert (layer.params, layer.state, layer.weights) == (None, None, [])


@pytest.mark.law("W1")
def test_get_and_set_weights_go_in_the_order_of_the_weights(same_bits):
    layer, other = built(), built()
    scramble(layer)
    other.set_weights(layer.get_weights())
    same_bits(other.flax_variables(), layer.flax_variables())
    assert layer.count_params() == sum(np.size(leaf) for leaf in layer.get_weights()) == 35


@pytest.mark.law("W2")
def test_flax_variables_are_the_tree_that_raw_init_returns(same_bits):
    layer = FlaxLayer(Odd(), seed=3)
    layer(X)
    raw = Odd().init(layer.init_rngs(), X)
    tree = layer.flax_variables()
    assert jax.tree.structure(tree) == jax.tree.structure(raw)
    assert raw_bits(tree) == raw_bits(raw)


@pytest.mark.law("W2")
def test_a_tree_goes_in_and_comes_out_again():
    layer = FlaxLayer(Odd(), seed=3)
    layer(X)
    given = Odd().init(jax.random.key(9), X)
    layer.load_flax_variables(given)
    assert raw_bits(layer.flax_variables()) == raw_bits(given)


@pytest.mark.law("W2")
def test_the_bound_module_computes_what_the_layer_computes():
    layer = built()
    scramble(layer)
    np.testing.assert_allclose(layer.to_module()(X), layer(X), rtol=1e-6)
