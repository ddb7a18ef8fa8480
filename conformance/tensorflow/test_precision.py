"""What JAX computes beyond its own precision is told apart from a fault (T4)."""

import flax.linen as nn
import numpy as np
import pytest

from conformance.precision import is_beyond_precision
from flaxlayer import FlaxLayer
from flaxlayer_testing import Subject, run_report


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
