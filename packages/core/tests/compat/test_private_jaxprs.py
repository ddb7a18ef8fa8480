"""What JAX does not document of traced programs: one behaviour each."""

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core.compat import private_jaxprs


def equations(function, *args):
    return jax.make_jaxpr(function)(*args).jaxpr.eqns


X = np.ones((2, 3), np.float32)


@pytest.mark.law("B2")
def test_a_traced_function_is_cut_to_what_its_results_need():
    traced = jax.make_jaxpr(lambda used, unused: (unused @ unused, used * 2)[1:])(
        jnp.ones(2), jnp.ones((2, 2))
    )
    cut, used = private_jaxprs.dce(traced)
    assert used == [True, False]
    assert [equation.primitive.name for equation in cut.jaxpr.eqns] == ["mul"]


@pytest.mark.law("B2")
def test_an_operation_of_a_program_becomes_a_program_of_its_own():
    traced = jax.make_jaxpr(lambda x, y: {"sum": x + 1.0, "product": x * y})(1.0, 2.0)
    [multiply] = [e for e in traced.jaxpr.eqns if e.primitive.name == "mul"]
    jaxpr = private_jaxprs.jaxpr_of_equation(traced.jaxpr, multiply, list(multiply.invars))
    program = jax.extend.core.jaxpr_as_fun(jax.extend.core.ClosedJaxpr(jaxpr, []))
    assert [float(value) for value in program(3.0, 4.0)] == [12.0]


@pytest.mark.law("S3")
@pytest.mark.parametrize(
    "function",
    [
        jax.jit(jnp.sin),
        lambda x: jax.lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x),
        lambda x: jax.lax.scan(lambda c, row: (c, jnp.sin(row)), 0.0, x)[1],
        jax.checkpoint(jnp.sin),
    ],
    ids=["jit", "cond", "scan", "checkpoint"],
)
def test_the_programs_inside_an_operation_are_found(function):
    inner = [jaxpr for e in equations(function, X) for jaxpr in private_jaxprs.inner_jaxprs(e)]
    assert "sin" in {e.primitive.name for jaxpr in inner for e in jaxpr.eqns}
    assert not any(map(private_jaxprs.inner_jaxprs, equations(jnp.sin, X)))


@pytest.mark.law("B2")
def test_the_function_of_a_jitted_operation_is_told():
    [plain] = equations(jax.jit(jnp.sin), X)
    found = private_jaxprs.jitted_function(plain)
    assert [e.primitive.name for e in found.jaxpr.eqns] == ["sin"]
    [donated] = equations(jax.jit(jnp.sin, donate_argnums=0), X)
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    [placed] = equations(jax.jit(jnp.sin, out_shardings=place), X)
    [other] = equations(jnp.sin, X)
    assert [*map(private_jaxprs.jitted_function, (donated, placed, other))] == [None] * 3


@pytest.mark.law("R2")
def test_folding_into_a_key_is_an_operation_of_its_own():
    program = jax.make_jaxpr(lambda key: jax.random.fold_in(key, 3))(jax.random.key(0))
    assert any(map(private_jaxprs.folds_into_key, program.jaxpr.eqns))
    assert not any(map(private_jaxprs.folds_into_key, equations(jnp.sin, X)))


@pytest.mark.law("B2")
@pytest.mark.parametrize("name", private_jaxprs.ARITHMETIC)
def test_arithmetic_operations_are_told_by_name(name):
    args = (X,) if name == "sqrt" else (X, X)
    [equation] = equations(getattr(jax.lax, name), *args)
    assert private_jaxprs.plain_operation(equation) == name


@pytest.mark.law("B2")
def test_other_plain_operations_are_told_and_what_asks_for_more_is_not():
    [spread] = equations(lambda x: jax.lax.broadcast_in_dim(x, (2,), ()), np.float32(1))
    [shaped] = equations(lambda x: jax.lax.reshape(x, (3, 2)), X)
    found = [*map(private_jaxprs.plain_operation, (spread, shaped))]
    assert found == ["broadcast_in_dim", "reshape"]
    turned = equations(lambda x: jax.lax.reshape(x, (3, 2), dimensions=(1, 0)), X)
    assert private_jaxprs.plain_operation(turned[-1]) in (None, "reshape")
    assert [*map(private_jaxprs.plain_operation, equations(jnp.sin, X))] == [None]
