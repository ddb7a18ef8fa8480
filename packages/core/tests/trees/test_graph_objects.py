"""Objects of nnx among the arguments of a call (A1)."""

import jax.numpy as jnp
import pytest
from flax import nnx

from flaxlayer_core import is_array, partition


@pytest.mark.law("A1")
def test_objects_of_nnx_that_share_a_variable_share_it_again():
    shared = nnx.Param(jnp.ones(2))
    (first, second), _ = split_and_merge((shared, [shared]))
    assert first is second[0]
    assert first is not shared
    linear = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    (module, kernel), _ = split_and_merge((linear, linear.kernel))
    assert module.kernel is kernel


def split_and_merge(args):
    arrays, structure = partition(args, {})
    assert all(is_array(array) for array in arrays)
    return structure.combine(arrays)
