"""Generated modules on a backend: values, state and gradients are those of raw Flax (K1, T1)."""

import keras
import pytest

from conformance.examining import examine
from conformance.precision import is_beyond_precision
from flaxlayer_testing import cases, nnx_cases

BACKEND = {"tensorflow": "TensorFlow", "torch": "torch"}[keras.backend.backend()]
STRATEGIES = {"linen": cases, "nnx": nnx_cases}
LONG = [("linen", seed) for seed in range(3000, 3010)] + [
    ("nnx", seed) for seed in range(4000, 4005)
]
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
    record_property("checks", f"{framework} on {BACKEND}")
    strategy = STRATEGIES[framework]
    assert len(examine(strategy, 0, modules, CHECKS, record_property)) == modules


@pytest.mark.long
@pytest.mark.law("K1")
@pytest.mark.parametrize(("framework", "seed"), LONG)
def test_twenty_generated_modules_run_as_raw_flax_does(framework, seed, record_property):
    record_property("checks", f"{framework} on {BACKEND}")
    strategy = STRATEGIES[framework]
    assert len(examine(strategy, seed, 20, CHECKS, record_property, is_beyond_precision)) == 20
