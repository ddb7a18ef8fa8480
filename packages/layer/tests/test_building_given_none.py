"""None and empty containers among given variables: nothing is initialised in their place (B4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import MatchVariablesError

pytestmark = pytest.mark.law("B4")

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
BIAS = np.ones(2, np.float32)

EMPTIED = pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"params": None}, "params: None, no arrays"),
        ({"params": {"kernel": None}}, "params/kernel: None, no array"),
        ({"params": {"kernel": {}, "bias": BIAS}}, "params/kernel: an empty dict, no array"),
        ({"params": {"kernl": None, "bias": BIAS}}, "params/kernl: unknown"),
        ({"params": {"bias": BIAS}, "batch_stats": None}, "batch_stats: None, no arrays"),
    ],
    ids=["collection", "array", "empty", "unknown", "another collection"],
)


class Holds(nn.Module):
    """Has a variable whose value is None."""

    @nn.compact
    def __call__(self, x):
        self.variable("c", "x", lambda: None)
        n = self.variable("c", "n", lambda: jnp.zeros(2))
        return nn.Dense(2)(x) + n.value


class Branches(nn.Module):
    """Cannot be traced."""

    @nn.compact
    def __call__(self, x):
        y = nn.Dense(2, name="d")(x)
        return y if x.sum() > -100 else -y


def _linen():
    return nn.Dense(2)


def _nnx():
    return nnx.Linear(3, 2, rngs=nnx.Rngs(0))


MODULES = pytest.mark.parametrize("make", [_linen, _nnx], ids=["linen", "nnx"])


@EMPTIED
@MODULES
def test_nothing_in_the_place_of_an_array_is_refused(given, found, make):
    with pytest.raises(MatchVariablesError, match=f"Found: {found}"):
        FlaxLayer(make(), variables=given)(X)


@EMPTIED
def test_a_build_from_a_shape_refuses_it_too(given, found):
    with pytest.raises(MatchVariablesError, match=f"Found: {found}"):
        FlaxLayer(nn.Dense(2), variables=given).build((None, 3))


def test_a_module_that_branches_on_values_refuses_it_too():
    layer = FlaxLayer(Branches(), variables={"params": {"d": {"kernel": None}}})
    with pytest.raises(MatchVariablesError, match="Found: params/d/kernel: None, no array"):
        layer(X)


@EMPTIED
@MODULES
def test_loading_it_is_refused_and_changes_nothing(given, found, make, same_bits):
    layer = FlaxLayer(make(), seed=1)
    layer(X)
    before = jax.tree_util.tree_map(np.array, layer.flax_variables())
    with pytest.raises(MatchVariablesError, match=f"Found: {found}"):
        layer.load_flax_variables(given)
    same_bits(layer.flax_variables(), before)


@pytest.mark.parametrize("given", [{"kernel": None}, {"other": None}], ids=["known", "unknown"])
def test_the_pure_dict_of_an_nnx_state_has_no_none_in_the_place_of_an_array(given):
    with pytest.raises(MatchVariablesError, match="None, no array"):
        FlaxLayer(_nnx(), variables=given)(X)


def test_a_variable_whose_value_is_none_is_given_and_loaded_as_it_is(same_bits):
    raw = Holds().init(jax.random.key(2), X)
    assert raw["c"]["x"] is None
    layer = FlaxLayer(Holds(), variables=raw)
    layer(X)
    layer.load_flax_variables(raw)
    same_bits(layer.flax_variables(), raw)
    part = FlaxLayer(Holds(), variables={"c": raw["c"]}, seed=1)
    part(X)
    same_bits(part.flax_variables()["c"], raw["c"])


def test_a_bias_of_none_is_what_flax_makes_of_it(same_results):
    given = {"params": {"kernel": np.ones((3, 2), np.float32), "bias": None}}
    same_results(FlaxLayer(nn.Dense(2), variables=given)(X), nn.Dense(2).apply(given, X))
