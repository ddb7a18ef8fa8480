"""Generated modules on TensorFlow: values, state and gradients are those of raw Flax (K1, T1)."""

import pytest

from conformance.examining import examine
from flaxlayer_testing import cases, nnx_cases

CHECKS = (
    "check_build_values",
    "check_inference",
    "check_training",
    "check_state_training",
    "check_state_inference",
    "check_gradients",
)


@pytest.mark.law("K1")
@pytest.mark.parametrize(("framework", "modules"), [("linen", 2), ("nnx", 2)])
def test_generated_modules_run_as_raw_flax_does(framework, modules, record_property):
    record_property("checks", f"{framework} on TensorFlow")
    strategy = {"linen": cases, "nnx": nnx_cases}[framework]
    assert len(examine(strategy, 0, modules, CHECKS, record_property)) == modules


@pytest.mark.long
@pytest.mark.law("K1")
@pytest.mark.parametrize("shard", range(10))
def test_two_hundred_generated_modules_run_as_raw_flax_does(shard, record_property):
    record_property("checks", "linen on TensorFlow")
    assert len(examine(cases, 3000 + shard, 20, CHECKS, record_property)) == 20


@pytest.mark.long
@pytest.mark.law("K1")
@pytest.mark.parametrize("shard", range(5))
def test_a_hundred_generated_nnx_modules_run_as_plain_nnx_does(shard, record_property):
    record_property("checks", "nnx on TensorFlow")
    assert len(examine(nnx_cases, 4000 + shard, 20, CHECKS, record_property)) == 20
