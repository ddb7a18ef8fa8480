"""The layer runs generated modules as raw Flax does: no unexplained mismatch (T1, T2)."""

import pytest

from conformance.examining import CALLS, MODELS, examine
from flaxlayer_testing import LINEN_FEATURES, cases, spec_traits

pytestmark = pytest.mark.slow

SHARDS = 4
# In the order of their names, so that a shard costs what the others cost.
SEARCHED = sorted(LINEN_FEATURES)


@pytest.mark.law("T2")
@pytest.mark.parametrize("shard", range(SHARDS))
def test_generated_modules_run_as_raw_flax_does(shard, record_property):
    record_property("checks", "build, call and state")
    assert len(examine(cases, shard, 8, CALLS, record_property)) == 8


@pytest.mark.law("T1")
@pytest.mark.law("T2")
@pytest.mark.parametrize("feature", SEARCHED)
def test_a_module_of_each_feature_runs_as_raw_flax_does(feature, record_property):
    record_property("checks", "build, call and state")
    seen = examine(cases, 0, 1, CALLS, record_property, max_nodes=2, features=[feature])
    assert all(feature in spec_traits(spec).features for spec in seen)
    assert seen


@pytest.mark.law("T2")
@pytest.mark.parametrize("shard", range(2))
def test_generated_modules_learn_save_and_refuse_as_raw_flax_does(shard, record_property):
    record_property("checks", "model")
    examine(cases, 100 + shard, 3, MODELS, record_property)


@pytest.mark.long
@pytest.mark.law("T2")
@pytest.mark.parametrize("shard", range(24))
def test_a_thousand_generated_modules_run_as_raw_flax_does(shard, record_property):
    record_property("checks", "build, call and state")
    assert len(examine(cases, 1000 + shard, 42, CALLS, record_property)) == 42


@pytest.mark.long
@pytest.mark.law("T2")
@pytest.mark.parametrize("shard", range(10))
def test_a_hundred_generated_modules_learn_save_and_refuse_as_raw_flax_does(shard, record_property):
    record_property("checks", "model")
    examine(cases, 2000 + shard, 12, MODELS, record_property)
