"""Operations of JAX have the names and the parameters by which they are told apart."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer.compat.jax_primitives import (
    callbacks_of,
    called_program,
    run_equation,
    window_of,
)

X = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)


@jax.custom_vjp
def doubled(x):
    return 2.0 * x


doubled.defvjp(lambda x: (2.0 * x, None), lambda _, cotangent: (cotangent,))


@jax.custom_jvp
def tripled(x):
    return 3.0 * x


tripled.defjvp(lambda primals, tangents: (tripled(*primals), 3.0 * tangents[0]))


@pytest.mark.parametrize("pool", [nn.max_pool, nn.avg_pool], ids=["max", "mean"])
def test_a_pooling_has_a_window_for_every_axis(pool):
    traced = jax.make_jaxpr(lambda x: pool(x, (2, 3), (1, 2), [(1, 0), (0, 0)]))(X)
    found = [window for window in map(window_of, traced.jaxpr.eqns) if window is not None]
    assert found
    for window in found:
        assert window.sizes == (1, 2, 3, 1)
        assert window.strides == (1, 1, 2, 1)
        assert window.padding == ((0, 0), (1, 0), (0, 0), (0, 0))


def test_some_axes_of_a_window_pool_an_array_of_those_alone():
    def pool(x):
        return nn.max_pool(x, (2, 2), (2, 2))

    (window,) = filter(None, map(window_of, jax.make_jaxpr(pool)(X).jaxpr.eqns))
    pooled = window.pool(X[0, :, :, 0], (1, 2))
    np.testing.assert_array_equal(pooled, pool(X)[0, :, :, 0])


def test_other_operations_have_no_window_and_call_no_program():
    (equation,) = jax.make_jaxpr(jnp.negative)(X).jaxpr.eqns
    assert window_of(equation) is None
    assert called_program(equation) is None
    (found,) = run_equation(equation, [X])
    np.testing.assert_array_equal(found, -X)


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint], ids=["jit", "checkpoint"])
def test_the_program_of_a_called_function_is_found(wrap):
    traced = jax.make_jaxpr(wrap(lambda x: -x))(X)
    (equation,) = traced.jaxpr.eqns
    inner, consts = called_program(equation)
    assert [each.primitive.name for each in inner.eqns] == ["neg"]
    assert not consts


@pytest.mark.parametrize("function", [doubled, tripled], ids=["vjp", "jvp"])
def test_the_program_of_a_function_with_its_own_derivative_is_found(function):
    (equation,) = jax.make_jaxpr(function)(X).jaxpr.eqns
    inner, _ = called_program(equation)
    assert [each.primitive.name for each in inner.eqns] == ["mul"]


def test_an_operation_of_several_results_runs():
    traced = jax.make_jaxpr(lambda x: jax.lax.top_k(x, 2))(np.float32([1.0, 3.0, 2.0]))
    values, places = run_equation(traced.jaxpr.eqns[-1], [np.float32([1.0, 3.0, 2.0])])
    assert values.tolist() == [3.0, 2.0]
    assert places.tolist() == [1, 2]


def printed(x):
    jax.debug.print("{}", x)
    return x


def called_back(x):
    return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


@pytest.mark.parametrize(
    "function", [printed, called_back, jax.jit(printed)], ids=["print", "pure", "inner"]
)
def test_what_calls_python_is_named(function):
    (name,) = callbacks_of(jax.make_jaxpr(function)(X))
    assert "callback" in name or "print" in name


def test_what_calls_no_python_has_no_such_names():
    assert callbacks_of(jax.make_jaxpr(jax.jit(jnp.sin))(X)) == []
