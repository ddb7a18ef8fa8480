"""The checks of what a compiled call depends on: contexts, static arguments, masks beside them."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_testing import Status, check_module

X, Y = np.ones((2, 3), np.float32), np.ones((2, 4, 2), np.float32)


class HandsOn(nn.Module):
    """Requires a mask, and returns it or one of another size."""

    @nn.compact
    def __call__(self, x, y, mask):
        return nn.Dense(2)(x), jnp.ones(y.shape[:2], bool) if mask is None else mask


class ForgetsMasks(FlaxLayer):
    """Leaves out a mask where there is a static argument."""

    def method(self, method, **settings):
        return super().method(method, mask_arg=None, **settings)


@pytest.mark.law("A4")
@pytest.mark.parametrize(
    ("layer", "status"), [(FlaxLayer, Status.PASSED), (ForgetsMasks, Status.FAILED)]
)
def test_a_required_mask_that_is_an_output_reaches_the_method_beside_a_static_argument(
    layer, status
):
    report = check_module(
        HandsOn(), X, Y, np.ones((2, 4), bool), layer=layer, only=["check_masked_statics"]
    )
    assert [entry.status for entry in report.entries] == [status]


class Counts(nn.Module):
    """Takes a mask, and counts its calls."""

    @nn.compact
    def __call__(self, x, mask=None):
        count = self.variable("counters", "calls", lambda: jnp.zeros(()))
        count.value = count.value + 1
        mask = jnp.ones(x.shape[:2], bool) if mask is None else mask
        return mask, x * count.value


@pytest.mark.law("A4")
def test_a_module_that_counts_its_calls_is_compared_before_the_next_one():
    report = check_module(Counts(), Y, np.ones((2, 4), bool), only=["check_masked_statics"])
    assert [entry.status for entry in report.entries] == [Status.PASSED]
