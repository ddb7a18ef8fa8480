"""Variables of an nnx module are taken by collection, as a state, or as a pure dict (B4, W2)."""

import jax.numpy as jnp
import pytest
from flax import nnx

from flaxlayer_core.modules.nnx.graph import GraphForm
from flaxlayer_core.modules.nnx.state_trees import by_collection

pytestmark = [
    pytest.mark.law("B4"),
    pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11"),
]


class Net(nnx.Module):
    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.layers = nnx.data({0: nnx.Linear(3, 3, rngs=rngs)})


@pytest.fixture
def net():
    return Net(nnx.Rngs(params=0, dropout=1))


def shapes(tree):
    if isinstance(tree, dict):
        return {name: shapes(part) for name, part in tree.items()}
    return tree.shape


EXPECTED = {
    "params": {
        "norm": {"scale": (3,), "bias": (3,)},
        "layers": {"0": {"kernel": (3, 3), "bias": (3,)}},
    },
    "batch_stats": {"norm": {"mean": (3,), "var": (3,)}},
}


def form_of(net):
    return lambda: GraphForm.from_module(net)[0]


def test_a_state_is_sorted_into_collections_without_its_streams(net):
    assert shapes(by_collection(nnx.state(net), form_of(net))) == EXPECTED


def test_a_pure_dict_is_sorted_by_what_the_module_is_like(net):
    pure = nnx.to_pure_dict(nnx.state(net))
    assert shapes(by_collection(pure, form_of(net))) == EXPECTED


def test_collections_stay_and_the_module_is_not_asked():
    def never():
        raise AssertionError

    given = {"params": {"layers": {0: {"bias": jnp.ones(3)}}}}
    assert shapes(by_collection(given, never)) == {"params": {"layers": {"0": {"bias": (3,)}}}}


def test_a_dict_that_is_none_of_the_module_stays_as_it_is(net):
    given = {"other": {"bias": jnp.ones(3)}}
    assert shapes(by_collection(given, form_of(net))) == {"other": {"bias": (3,)}}
