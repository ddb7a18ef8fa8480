"""What a module may change in each mode, and what it then returns (B1, C3)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import errors as flax_errors

from flaxlayer_core import (
    BuildModuleError,
    same_structure,
)
from packages.core.tests.discovery.examples import (
    Cached,
    Counter,
    Insists,
    MutableNorm,
    Norm,
    NormAndCounter,
    Sows,
    SowsLast,
    Spectral,
    WritesParams,
    X,
    raw_flag,
    roles,
)


@pytest.mark.law("C3")
@pytest.mark.parametrize(
    "module", [Norm(), Counter(), Sows(), nn.Dense(2)], ids=lambda module: type(module).__name__
)
def test_training_may_change_all_but_params(examined, module):
    assert examined(module, X).training.denied == ("params",)


@pytest.mark.law("C3")
def test_statistics_that_inference_leaves_alone_are_denied_to_it(examined):
    assert examined(Norm(), X).inference.denied == ("batch_stats", "params")


@pytest.mark.law("C3")
def test_a_module_that_asks_what_it_may_change_is_answered_by_mode(examined):
    found = examined(MutableNorm(), X)
    assert found.training.denied == ("params",)
    assert found.inference.denied == ("batch_stats", "params")


@pytest.mark.law("C3")
def test_the_plans_make_raw_apply_train_and_infer_as_its_author_meant(examined):
    module, x = MutableNorm(), jnp.arange(8.0).reshape(2, 4)
    found, variables = examined(module, X), module.init(jax.random.key(0), x)
    trained, _ = module.apply(variables, x, mutable=found.training.mutable)
    inferred, _ = module.apply(variables, x, mutable=found.inference.mutable)
    normed = (x - x.mean(0)) / jnp.sqrt(x.var(0) + 1e-5)
    assert jnp.allclose(trained, normed, atol=1e-5)
    assert jnp.allclose(inferred, x / jnp.sqrt(1 + 1e-5), atol=1e-5)


@pytest.mark.law("C3")
def test_a_counter_of_both_modes_stays_mutable(examined):
    assert examined(Counter(), X).inference.denied == ("params",)


@pytest.mark.law("C3")
def test_each_collection_is_denied_by_itself(examined):
    found = examined(NormAndCounter(), X)
    assert roles(found) == {"params": "trainable", "batch_stats": "state", "counter": "state"}
    assert found.inference.denied == ("batch_stats", "params")


@pytest.mark.law("C3")
def test_spectral_norm_is_quiet_at_inference(examined):
    assert examined(Spectral(), X).inference.denied == ("batch_stats", "params")


@pytest.mark.law("C3")
def test_a_decoding_cache_stays_mutable_at_inference(examined):
    step = jax.ShapeDtypeStruct((2, 1, 4), jnp.float32)
    assert examined(Cached(), step).inference.denied == ("params",)


@pytest.mark.law("C3")
def test_a_module_that_insists_on_its_cache_keeps_it_mutable(examined):
    assert examined(Insists(), X).inference.denied == ("params",)


@pytest.mark.law("C3")
def test_a_transient_collection_is_never_denied(examined):
    assert "losses" not in examined(Sows(), X).inference.denied


@pytest.mark.law("C3")
def test_a_module_that_writes_params_in_a_call_is_an_error(examined):
    with pytest.raises(BuildModuleError, match=flax_errors.ModifyScopeVariableError.__name__):
        examined(WritesParams(), X)


@pytest.mark.law("B1")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "module",
    [Norm(), MutableNorm(), NormAndCounter(), Sows(), SowsLast(), nn.Dense(3)],
    ids=lambda module: type(module).__name__,
)
def test_outputs_and_updates_are_those_of_raw_apply(examined, module, training):
    found = examined(module, X)
    plan = found.plan(training)

    def apply(variables, x):
        return module.apply(variables, x, mutable=plan.mutable, **raw_flag(module, training))

    raw = jax.eval_shape(apply, found.variables, X)
    assert same_structure((plan.output, dict(plan.updates)), (raw[0], dict(raw[1])))
