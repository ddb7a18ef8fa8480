"""Trees that are loaded: whole, in part, or not at all (W2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.core import freeze
from flax.training.train_state import TrainState

from flaxlayer import FlaxLayer
from flaxlayer_core import (
    MatchVariablesError,
)

X = np.ones((2, 4), np.float32)


@pytest.mark.law("W2")
def test_loading_a_tree_that_does_not_fit_changes_nothing(same_bits):
    layer = FlaxLayer(nn.Dense(3))
    layer(X)
    before = layer.flax_variables()
    tree = {"params": {"bias": jnp.ones(3), "kernel": jnp.ones((9, 3)), "extra": jnp.ones(1)}}
    with pytest.raises(MatchVariablesError) as caught:
        layer.load_flax_variables(tree)
    assert "Found: params/extra: unknown; params/kernel: shape [9,3]" in str(caught.value)
    same_bits(layer.flax_variables(), before)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(3, name="proj")(x)
        return nn.BatchNorm(use_running_average=not train)(x)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(2)(Block(name="encoder")(x, train))


def built(module=None, **kwargs):
    layer = FlaxLayer(module or Net(), name="net", **kwargs)
    layer.build((None, 4))
    return layer


@pytest.mark.law("W2")
def test_a_frozen_dict_of_numpy_arrays_goes_in(same_bits):
    layer = built()
    given = jax.tree.map(np.asarray, Net().init(jax.random.key(9), X))
    layer.load_flax_variables(freeze(given))
    same_bits(layer.flax_variables(), given)


@pytest.mark.law("W2")
def test_a_sub_tree_changes_only_what_it_holds(same_bits):
    layer = built()
    before = layer.flax_variables()
    kernel = np.full((4, 3), 7.0, np.float32)
    layer.load_flax_variables({"params": {"encoder": {"proj": {"kernel": kernel}}}})
    expected = jax.tree.map(np.asarray, before)
    expected["params"]["encoder"]["proj"]["kernel"] = kernel
    same_bits(layer.flax_variables(), expected)


@pytest.mark.law("W2")
@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"params": {"Dense_0": {"kernel": np.ones((2, 3))}}}, "params/Dense_0/kernel"),
        ({"params": {"Dense_1": {"kernel": np.ones((3, 2))}}}, "params/Dense_1/kernel: unknown"),
        ({"other": {"a": np.ones(1)}}, "other/a: unknown"),
        ({"params": {"Dense_0": {"bias": "text"}}}, "params/Dense_0/bias"),
        ({"params": np.ones(3)}, "params: unknown"),
    ],
)
def test_a_tree_that_does_not_fit_changes_nothing(wrong, found, same_bits):
    layer = built()
    before = jax.tree.map(np.asarray, layer.flax_variables())
    tree = {"batch_stats": jax.tree.map(np.ones_like, before["batch_stats"]), **wrong}
    with pytest.raises(MatchVariablesError) as caught:
        layer.load_flax_variables(tree)
    assert found in caught.value.found
    same_bits(layer.flax_variables(), before)


@pytest.mark.law("W2")
def test_a_loaded_array_is_not_shared_with_its_owner():
    layer = built()
    mine = jnp.ones(2)
    layer.load_flax_variables({"params": {"Dense_0": {"bias": mine}}})
    layer.params["params"]["Dense_0"]["bias"].assign(jnp.zeros(2))
    assert mine.tolist() == [1.0, 1.0]


class Graph(nnx.Module):
    def __init__(self, *, rngs):
        self.linear = nnx.Linear(4, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.linear(x))


@pytest.mark.law("W2", "B4")
def test_a_module_of_nnx_gives_the_values_that_it_holds(same_bits):
    trained = Graph(rngs=nnx.Rngs(7))
    trained(np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4))
    state = nnx.to_pure_dict(nnx.state(trained))
    loaded = built(Graph, seed=1)
    loaded.load_flax_variables(trained)
    for layer in (loaded, built(Graph, variables=trained)):
        found = layer.flax_variables()
        same_bits(found["params"]["linear"]["kernel"], state["linear"]["kernel"])
        same_bits(found["batch_stats"]["norm"]["mean"], state["norm"]["mean"])


@pytest.mark.law("B4")
def test_a_train_state_is_given_as_its_variables_are(same_bits):
    params = nn.Dense(3).init(jax.random.key(7), X)["params"]
    state = TrainState.create(apply_fn=nn.Dense(3).apply, params=params, tx=optax.sgd(0.1))
    layer = built(nn.Dense(3), variables=state)
    same_bits(layer.flax_variables(), {"params": params})
    assert layer.get_config() == {
        **FlaxLayer(nn.Dense(3), variables={"params": params}, name="net").get_config(),
        "seed": layer.get_config()["seed"],
    }
