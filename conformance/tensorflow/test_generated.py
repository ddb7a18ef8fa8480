"""Generated modules on TensorFlow: values, state and gradients are those of raw Flax (K1, T1)."""

import flax.linen as nn
import numpy as np
import pytest

from conformance.examining import examine
from conformance.precision import is_beyond_precision
from flaxlayer import FlaxLayer
from flaxlayer_testing import Subject, cases, nnx_cases, run_report

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
    record_property("checks", f"{framework} on TensorFlow")
    strategy = STRATEGIES[framework]
    assert len(examine(strategy, 0, modules, CHECKS, record_property)) == modules


class TwoRows(nn.Module):
    """Normalises two rows, of which hardly a digit is left."""

    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=False)(nn.Dense(2)(x))


class ScalesOutputs(FlaxLayer):
    def call(self, *args, training=None, **kwargs):
        return super().call(*args, training=training, **kwargs) * (1 + 1e-4)


@pytest.mark.law("T4")
def test_a_mismatch_is_explained_only_where_jax_itself_has_no_more_digits():
    x = np.array([[1, 2, 3], [1.003, 1.9985, 3.0009]], np.float32)
    explained = []
    for subject in (Subject(TwoRows(), (x,)), Subject(nn.Dense(2), (x,), layer=ScalesOutputs)):
        report = run_report(subject, only=["check_training", "check_inference"])
        assert report.failures
        explained.append(is_beyond_precision(subject, report))
    assert explained == [True, False]


@pytest.mark.long
@pytest.mark.law("K1")
@pytest.mark.parametrize(("framework", "seed"), LONG)
def test_twenty_generated_modules_run_as_raw_flax_does(framework, seed, record_property):
    record_property("checks", f"{framework} on TensorFlow")
    strategy = STRATEGIES[framework]
    assert len(examine(strategy, seed, 20, CHECKS, record_property, is_beyond_precision)) == 20
