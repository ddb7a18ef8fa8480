"""The layer runs generated modules as raw Flax does: no unexplained mismatch (T1, T2)."""

import time

import pytest
from hypothesis import Phase, given, seed, settings

from flaxlayer_testing import (
    FEATURES,
    Subject,
    cases,
    checks,
    run_report,
    spec_traits,
)

CALLS = (
    "check_build_paths",
    "check_build_dtypes",
    "check_build_values",
    "check_inference",
    "check_training",
    "check_state_training",
    "check_state_inference",
    "check_sown",
    "check_losses",
    "check_streams",
    "check_fresh_keys",
    "check_no_draw",
    "check_frozen_layer",
    "check_frozen_paths",
    "check_variables_tree",
    "check_weight_values",
    "check_wrong_arguments",
    "check_wrong_variables",
)
MODELS = tuple(check.name for check in checks() if check.name not in CALLS)

SHARDS = 8
# In the order of their names, so that a shard costs what the others cost.
SEARCHED = sorted(FEATURES)


def examine(number, modules, names, record_property, **wanted):
    """Runs checks on generated modules; each must pass or say why it does not apply."""
    seen, started = set(), time.perf_counter()

    @seed(number)
    @settings(max_examples=modules, derandomize=False, phases=[Phase.generate, Phase.shrink])
    @given(cases(**wanted))
    def run(case):
        seen.add(case.spec)
        run_report(Subject.from_case(case), only=names).raise_for_failures()

    run()
    record_property("modules", len(seen))
    record_property("seconds", time.perf_counter() - started)
    return seen


@pytest.mark.law("T2")
@pytest.mark.parametrize("shard", range(SHARDS))
def test_generated_modules_run_as_raw_flax_does(shard, record_property):
    record_property("checks", "build, call and state")
    seen = examine(shard, 12, CALLS, record_property)
    assert len(seen) >= 8


@pytest.mark.law("T1")
@pytest.mark.law("T2")
@pytest.mark.parametrize("feature", SEARCHED)
def test_a_module_of_each_feature_runs_as_raw_flax_does(feature, record_property):
    record_property("checks", "build, call and state")
    seen = examine(0, 1, CALLS, record_property, max_nodes=2, features=[feature])
    assert all(feature in spec_traits(spec).features for spec in seen)
    assert seen


@pytest.mark.law("T2")
@pytest.mark.parametrize("shard", range(4))
def test_generated_modules_learn_save_and_refuse_as_raw_flax_does(shard, record_property):
    record_property("checks", "model")
    examine(100 + shard, 3, MODELS, record_property)


@pytest.mark.long
@pytest.mark.law("T2")
@pytest.mark.parametrize("shard", range(24))
def test_a_thousand_generated_modules_run_as_raw_flax_does(shard, record_property):
    record_property("checks", "build, call and state")
    seen = examine(1000 + shard, 60, CALLS, record_property)
    assert len(seen) >= 42


@pytest.mark.long
@pytest.mark.law("T2")
@pytest.mark.parametrize("shard", range(10))
def test_a_hundred_generated_modules_learn_save_and_refuse_as_raw_flax_does(shard, record_property):
    record_property("checks", "model")
    examine(2000 + shard, 12, MODELS, record_property)
