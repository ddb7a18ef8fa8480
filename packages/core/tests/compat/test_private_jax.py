"""Private APIs of JAX: one behaviour each, so that a release that moves one is noticed."""

import threading

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core.compat import private_jax


def primitives(program):
    return [equation.primitive.name for equation in program.jaxpr.eqns]


@pytest.mark.law("A6")
def test_no_trace_is_under_way_outside_of_transformations():
    assert private_jax.trace_state_clean()


@pytest.mark.law("A6")
@pytest.mark.parametrize(
    "transform",
    [
        jax.jit,
        jax.grad,
        jax.vmap,
        lambda f: lambda x: jax.eval_shape(f, x),
        lambda f: lambda x: jax.jvp(f, (x,), (x,)),
        lambda f: lambda x: jax.lax.scan(lambda c, _: (f(c), None), x, length=1),
    ],
    ids=["jit", "grad", "vmap", "eval_shape", "jvp", "scan"],
)
def test_a_trace_is_under_way_inside_a_transformation(transform):
    seen = []

    def function(x):
        seen.append(private_jax.trace_state_clean())
        return x

    transform(function)(jnp.ones(2) if transform is jax.vmap else 1.0)
    assert seen == [False]
    assert private_jax.trace_state_clean()


@pytest.mark.law("A6")
def test_a_trace_of_another_thread_does_not_count():
    seen = []

    def function(x):
        thread = threading.Thread(target=lambda: seen.append(private_jax.trace_state_clean()))
        thread.start()
        thread.join()
        return x

    jax.eval_shape(function, 1.0)
    assert seen == [True]


@pytest.mark.law("S3")
def test_an_operation_is_shown_before_it_runs_and_a_compiled_function_too():
    shown, doubled = [], jax.jit(lambda x: jax.lax.sin(x) * 2)
    x = jnp.ones(3)
    with private_jax.before_operations(shown.append):
        jax.lax.cos(x)
        doubled(x)
        np.testing.assert_array_equal(doubled(x), jnp.sin(x) * 2)
    assert primitives(shown[0]) == ["cos"]
    assert any("sin" in primitives(program) for program in shown)
    count = len(shown)
    jax.lax.cos(x)
    assert len(shown) == count


@pytest.mark.law("S3")
def test_what_looking_raises_is_raised_in_the_place_of_running():
    def refuse(program):
        raise ValueError("too large")

    x = jnp.ones(3)
    for run in (jax.lax.exp, jax.jit(lambda x: jax.lax.exp(x) + 1)):
        with pytest.raises(ValueError, match="too large"), private_jax.before_operations(refuse):
            run(x)
        run(x)


@pytest.mark.law("S3")
def test_operations_of_another_thread_are_not_shown():
    shown, x = [], jnp.ones(3)
    with private_jax.before_operations(shown.append):
        thread = threading.Thread(target=lambda: jax.lax.cos(x))
        thread.start()
        thread.join()
    assert shown == []


@pytest.mark.law("B2")
def test_a_traced_function_is_cut_to_what_its_results_need():
    traced = jax.make_jaxpr(lambda used, unused: (unused @ unused, used * 2)[1:])(
        jnp.ones(2), jnp.ones((2, 2))
    )
    cut, used = private_jax.dce(traced)
    assert used == [True, False]
    assert [equation.primitive.name for equation in cut.jaxpr.eqns] == ["mul"]


@pytest.mark.law("C6")
@pytest.mark.parametrize("name", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_the_implementation_of_a_key_is_named_as_jax_takes_it(name):
    key = jax.random.key(0, impl=name)
    assert private_jax.key_impl(key) == name
    assert jax.random.wrap_key_data(jax.random.key_data(key), impl=name).dtype == key.dtype


@pytest.mark.law("B2")
def test_an_operation_of_a_program_becomes_a_program_of_its_own():
    traced = jax.make_jaxpr(lambda x, y: {"sum": x + 1.0, "product": x * y})(1.0, 2.0)
    [multiply] = [e for e in traced.jaxpr.eqns if e.primitive.name == "mul"]
    jaxpr = private_jax.jaxpr_of_equation(traced.jaxpr, multiply, list(multiply.invars))
    program = jax.extend.core.jaxpr_as_fun(jax.extend.core.ClosedJaxpr(jaxpr, []))
    assert [float(value) for value in program(3.0, 4.0)] == [12.0]
