"""Generated modules on TensorFlow: values, state and gradients are those of raw Flax (K1, T1)."""

import flax.linen as nn
import numpy as np
import pytest

from conformance.examining import examine
from conformance.precision import is_beyond_precision
from flaxlayer import FlaxLayer
from flaxlayer_testing import Subject, cases, nnx_cases, run_report

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
        report = run_report(subject, only=["check_training"])
        assert report.failures
        explained.append(is_beyond_precision(subject, report))
    assert explained == [True, False]


@pytest.mark.long
@pytest.mark.law("K1")
@pytest.mark.parametrize("shard", range(10))
def test_two_hundred_generated_modules_run_as_raw_flax_does(shard, record_property):
    record_property("checks", "linen on TensorFlow")
    found = examine(cases, 3000 + shard, 20, CHECKS, record_property, is_beyond_precision)
    assert len(found) == 20


@pytest.mark.long
@pytest.mark.law("K1")
@pytest.mark.parametrize("shard", range(5))
def test_a_hundred_generated_nnx_modules_run_as_plain_nnx_does(shard, record_property):
    record_property("checks", "nnx on TensorFlow")
    found = examine(nnx_cases, 4000 + shard, 20, CHECKS, record_property, is_beyond_precision)
    assert len(found) == 20
