"""The roles of collections, and what is stored of them (C2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core import (
    BuildModuleError,
    CollectionPolicy,
    same_structure,
)
from packages.core.tests.discovery.examples import (
    ONES,
    Cached,
    ChangesDtype,
    Counter,
    Grows,
    Lifted,
    Norm,
    Perturbed,
    Sows,
    SowsAtInference,
    SowsLast,
    X,
    raw_updates,
    roles,
)


@pytest.mark.law("C2")
def test_running_statistics_are_state(examined):
    assert roles(examined(Norm(), X)) == {"params": "trainable", "batch_stats": "state"}


@pytest.mark.law("C2")
def test_a_sown_tuple_that_grows_is_transient(examined):
    assert roles(examined(Sows(), X)) == {"params": "trainable", "losses": "transient"}


@pytest.mark.law("C2")
def test_sown_intermediates_are_transient(examined):
    assert roles(examined(Sows("intermediates"), X))["intermediates"] == "transient"


@pytest.mark.law("C2")
def test_a_transient_collection_is_not_stored(examined):
    found = examined(Sows(), X)
    assert {path[0] for path in found.layout.paths} == {"params"}


@pytest.mark.law("C2")
@pytest.mark.parametrize("training", [True, False])
def test_what_init_sowed_is_not_fed_to_a_call(examined, training):
    plan = examined(Sows(), X).plan(training)
    params = {"params": Sows().init(jax.random.key(0), ONES)["params"]}
    assert same_structure(plan.updates, raw_updates(Sows(), params, X))


@pytest.mark.law("C2")
def test_a_sown_value_that_replaces_the_last_one_is_state(examined):
    assert roles(examined(SowsLast(), X)) == {"last": "state"}


@pytest.mark.law("C2")
def test_a_collection_that_only_inference_sows_is_transient(examined):
    found = examined(SowsAtInference(), X)
    assert roles(found) == {"features": "transient"}
    assert set(found.inference.updates) == {"features"}


@pytest.mark.law("C2")
@pytest.mark.parametrize(
    ("module", "name"), [(Grows(), "history"), (ChangesDtype(), "toggle")], ids=["shape", "dtype"]
)
def test_a_collection_that_changes_when_it_is_fed_back_is_transient(examined, module, name):
    assert roles(examined(module, X))[name] == "transient"


@pytest.mark.law("C2")
def test_perturbations_are_transient(examined):
    assert roles(examined(Perturbed(), X))["perturbations"] == "transient"


@pytest.mark.law("C2")
def test_a_decoding_cache_is_state(examined):
    step = jax.ShapeDtypeStruct((2, 1, 4), jnp.float32)
    assert roles(examined(Cached(), step)) == {"params": "trainable", "cache": "state"}


@pytest.mark.law("C2")
def test_a_policy_makes_state_transient(examined):
    found = examined(Counter(), X, policy=CollectionPolicy(transient=("counter",)))
    assert roles(found) == {"counter": "transient"}
    assert found.layout.specs == ()


@pytest.mark.law("C2")
def test_a_policy_makes_state_trainable(examined):
    policy = CollectionPolicy(trainable=("params", "batch_stats"))
    found = examined(Norm(), X, policy=policy, kwargs={"train": False})
    assert roles(found) == {"params": "trainable", "batch_stats": "trainable"}
    assert set(found.training.denied) == {"params", "batch_stats"}


@pytest.mark.law("C2")
def test_a_policy_makes_params_state(examined):
    found = examined(Sows(), X, policy=CollectionPolicy(trainable=(), state=("params",)))
    assert roles(found)["params"] == "state"


@pytest.mark.law("C3")
def test_no_call_may_change_params_that_a_policy_makes_state(examined):
    class Normed(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            return nn.SpectralNorm(nn.Dense(2))(x, update_stats=train)

    found = examined(Normed(), X, policy=CollectionPolicy(state=("params",)))
    assert found.training.denied == ("params",)
    assert found.inference.denied == ("batch_stats", "params")


@pytest.mark.law("C2")
def test_a_growing_collection_that_a_policy_calls_state_is_an_error(examined):
    with pytest.raises(BuildModuleError, match="losses"):
        examined(Sows(), X, policy=CollectionPolicy(state=("losses",)))


@pytest.mark.law("C2")
@pytest.mark.parametrize("transform", ["scan", "vmap", "remat", "jit"])
def test_roles_are_found_through_a_lifted_transform(examined, transform):
    found = examined(Lifted(transform), X)
    assert roles(found) == {"params": "trainable", "batch_stats": "state"}
    assert found.inference.denied == ("batch_stats", "params")
