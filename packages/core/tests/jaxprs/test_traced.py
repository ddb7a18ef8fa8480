"""A function traced once (B2)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core.jaxprs import traced as traced_functions
from flaxlayer_core.jaxprs.op_by_op import OpByOpJaxpr
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


@pytest.mark.law("B6")
@pytest.mark.parametrize(("bound", "programs"), [(1 << 20, 1), (48, 3), (47, 4), (1, 5)])
def test_what_is_placed_is_made_by_programs_of_a_bounded_size(monkeypatch, bound, programs):
    def make(key):
        drawn = [jax.random.normal(jax.random.fold_in(key, n), (6,)) for n in range(4)]
        return {"drawn": drawn, "ones": jnp.ones(())}

    compiled, compile_ = [], OpByOpJaxpr.compile

    def counting(program, shardings):
        compiled.append(len(shardings))
        return compile_(program, shardings)

    monkeypatch.setattr(traced_functions, "_PART", bound)
    monkeypatch.setattr(OpByOpJaxpr, "compile", counting)
    key = jax.random.key(3)
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    found = TracedFunction(make, key).evaluate(key, shardings=[place] * 5)
    assert (len(compiled), sum(compiled)) == (programs, 5)
    jax.tree_util.tree_map(np.testing.assert_array_equal, found, make(key))


def test_nothing_is_placed_by_no_program():
    assert TracedFunction(lambda: {}).evaluate(shardings=[]) == {}
