"""The layer runs generated nnx modules as plain NNX does: no unexplained mismatch (T1, T2)."""

import pytest
from flax import nnx

from conformance.examining import CALLS, MODELS, examine
from flaxlayer_testing import NNX_FEATURES, nnx_cases, spec_traits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11"),
]

OF_OBJECTS = (*CALLS, "check_bound_module", "check_object_kept")


@pytest.mark.law("T2")
@pytest.mark.parametrize("shard", range(3))
def test_generated_nnx_modules_run_as_plain_nnx_does(shard, record_property):
    record_property("checks", "nnx build, call and state")
    assert len(examine(nnx_cases, shard, 4, OF_OBJECTS, record_property)) == 4


@pytest.mark.law("T2")
def test_generated_nnx_modules_learn_save_and_refuse_as_plain_nnx_does(record_property):
    record_property("checks", "nnx model")
    examine(nnx_cases, 100, 2, MODELS, record_property, max_nodes=3)


@pytest.mark.long
@pytest.mark.law("T1")
@pytest.mark.law("T2")
@pytest.mark.parametrize("feature", NNX_FEATURES)
def test_an_nnx_module_of_each_feature_runs_as_plain_nnx_does(feature, record_property):
    record_property("checks", "nnx build, call and state")
    seen = examine(nnx_cases, 0, 1, OF_OBJECTS, record_property, max_nodes=2, features=[feature])
    assert all(feature in spec_traits(spec).features for spec in seen)
    assert seen


@pytest.mark.long
@pytest.mark.law("T2")
@pytest.mark.parametrize("shard", range(12))
def test_five_hundred_generated_nnx_modules_run_as_plain_nnx_does(shard, record_property):
    record_property("checks", "nnx build, call and state")
    assert len(examine(nnx_cases, 1000 + shard, 42, OF_OBJECTS, record_property)) == 42


@pytest.mark.long
@pytest.mark.law("T2")
@pytest.mark.parametrize("shard", range(10))
def test_a_hundred_generated_nnx_modules_learn_save_and_refuse_as_plain_nnx_does(
    shard, record_property
):
    record_property("checks", "nnx model")
    examine(nnx_cases, 2000 + shard, 12, MODELS, record_property)
