"""Outputs pass through transformations sealed; their classes see what the module gave (A5)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from flaxlayer_core import (
    has_sealed,
    unwrap_statics,
    wrap_statics,
)
from packages.core.tests.trees.odd_values import TREES, Looks, Point, identical, looking_outputs


@pytest.mark.law("A5")
def test_outputs_come_back_from_a_jitted_function_and_from_abstract_evaluation():
    wrapped = jax.jit(lambda x: wrap_statics(looking_outputs(x)))(np.ones(2))
    assert has_sealed(wrapped)
    result = unwrap_statics(wrapped)
    assert type(result["a"]) is Looks
    assert result["a"].y[1] == "text"
    assert result["b"][1:3] == (None, 3)
    assert type(result["b"][3]) is Point
    assert result["b"][3].y == "p"
    assert result["k"] == 0.5
    np.testing.assert_array_equal(result["a"].y[0], [2, 2])


@pytest.mark.law("A5")
def test_wrapping_twice_is_wrapping_once():
    wrapped = wrap_statics(looking_outputs(jnp.ones(2)))
    assert jax.tree.structure(wrap_statics(wrapped)) == jax.tree.structure(wrapped)


@pytest.mark.law("A5")
@settings(deadline=None)
@given(TREES)
def test_unwrap_undoes_wrap(tree):
    assert identical(unwrap_statics(wrap_statics(tree)), tree)


@pytest.mark.law("A5")
def test_outputs_that_are_no_arrays_come_through_a_compiled_function():
    def run(x):
        return wrap_statics({"x": x, "name": "relu", "n": 3, "none": None})

    outputs = unwrap_statics(jax.jit(run)(jnp.ones(2)))
    assert {name: outputs[name] for name in ("name", "n", "none")} == {
        "name": "relu",
        "n": 3,
        "none": None,
    }
    assert outputs["x"].tolist() == [1, 1]
