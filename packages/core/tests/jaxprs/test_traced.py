"""A function traced once (B2)."""

import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core.jaxprs.traced import TracedFunction


@pytest.mark.law("B2")
def test_a_traced_function_has_the_abstract_result_of_the_function():
    x = jax.ShapeDtypeStruct((2, 3), jnp.bfloat16)
    traced = TracedFunction(lambda x: {"t": x.T}, x)
    assert traced.result == {"t": jax.ShapeDtypeStruct((3, 2), jnp.bfloat16)}


@pytest.mark.law("B2")
def test_a_traced_function_runs_what_its_result_needs_and_no_more():
    def function(used, unused):
        (unused @ unused).sum()
        return {"double": used * 2}

    unused = jax.ShapeDtypeStruct((10**6, 10**6), jnp.float32)
    traced = TracedFunction(function, jnp.ones(2), unused)
    assert (traced.needs(0), traced.needs(1)) == (True, False)
    assert traced.evaluate(jnp.arange(2.0), unused)["double"].tolist() == [0, 2]


@pytest.mark.law("B2")
def test_the_shape_of_an_argument_is_no_need_of_its_value():
    x = jax.ShapeDtypeStruct((5,), jnp.float32)
    assert not TracedFunction(lambda x: jnp.ones(x.shape), x).needs(0)
