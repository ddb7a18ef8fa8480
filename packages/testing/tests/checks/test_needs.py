"""What a check needs: the only reasons to skip one (T2)."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_testing import Status, Subject, check_module
from flaxlayer_testing.checks import Need
from flaxlayer_testing.oracle import roles

FEATURES = np.ones((2, 3), np.float32)


class _RefusesHalf(nn.Module):
    @nn.compact
    def __call__(self, x):
        if x.dtype == jnp.bfloat16:
            raise ArithmeticError
        return nn.Dense(2)(x)


@pytest.mark.law("T2")
def test_a_skip_says_the_sentence_of_a_need():
    report = check_module(nn.Dense(2), FEATURES)
    skipped = {entry.message for entry in report.of(Status.SKIPPED)}
    assert skipped
    assert skipped <= {need.reason for need in Need}


@pytest.mark.law("T2")
def test_whatever_a_module_raises_on_another_call_is_a_refusal():
    assert not Need.CASTS.holds(Subject(_RefusesHalf(), (FEATURES,)))
    assert Need.CASTS.holds(Subject(nn.Dense(2), (FEATURES,)))


@pytest.mark.law("T2")
def test_an_error_of_the_harness_is_no_refusal_and_no_skip(monkeypatch):
    asked = []

    def broken(tree, known):
        asked.append(tree)
        raise KeyError("broken")

    monkeypatch.setattr(roles, "common_part", broken)
    (entry,) = check_module(nn.Dense(2), FEATURES, only=["check_mixed_policy"]).entries
    assert asked
    assert (entry.status, entry.error_type) == (Status.FAILED, "KeyError")
