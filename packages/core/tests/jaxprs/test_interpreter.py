"""A traced program run operation by operation gives what JAX gives (B2)."""

import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import eval_jaxpr

pytestmark = pytest.mark.law("B2")

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


def by_jax(equation, inputs):
    outputs = equation.primitive.bind(*inputs, **equation.params)
    return outputs if equation.primitive.multiple_results else [outputs]


def run(function, *args, by=by_jax):
    traced = jax.make_jaxpr(function)(*args)
    return eval_jaxpr(traced.jaxpr, traced.consts, args, by)


def test_operations_run_in_order_on_arguments_constants_and_literals():
    table = jnp.arange(3.0)
    [found] = run(lambda x: jnp.sin(x) * 2.0 + table, X)
    np.testing.assert_array_equal(found, jnp.sin(X) * 2.0 + table)


def test_each_operation_is_run_once_with_its_own_inputs():
    seen = []

    def note(equation, inputs):
        seen.append((equation.primitive.name, [np.shape(value) for value in inputs]))
        return by_jax(equation, inputs)

    run(lambda x, y: jnp.sum(jax.lax.mul(x, y)), X, X, by=note)
    assert seen == [("mul", [(2, 3), (2, 3)]), ("reduce_sum", [(2, 3)])]


def test_results_may_be_arguments_and_literals():
    assert run(lambda x, y: (y, 3.0, x), 1.0, 2.0) == [2.0, 3.0, 1.0]


def test_what_an_operation_raises_ends_the_run():
    def fail(equation, inputs):
        raise KeyError(equation.primitive.name)

    with pytest.raises(KeyError, match="sin"):
        run(jnp.sin, X, by=fail)


def bind(equation, inputs):
    outputs = equation.primitive.bind(*inputs, **equation.params)
    return outputs if equation.primitive.multiple_results else [outputs]


def test_a_program_takes_as_many_arrays_as_it_has_arguments():
    traced = jax.make_jaxpr(lambda x, y: x + y)(1.0, 2.0)
    with pytest.raises(ValueError):
        eval_jaxpr(traced.jaxpr, traced.consts, [1.0], bind)


class Value:
    """What an operation gives, which a weak reference can see."""


@pytest.mark.law("B6")
def test_what_nothing_reads_any_more_is_let_go_of():
    alive, seen = weakref.WeakSet(), []

    def make(equation, inputs):
        seen.append(len(alive))
        made = [Value() for _ in equation.outvars]
        alive.update(made)
        return made

    def chain(x):
        first = jnp.sin(x)
        jax.lax.sort((x, x))  # two results, and nothing reads them
        for _ in range(20):
            x = jnp.cos(x)
        return x, first

    results = run(chain, X, by=make)
    assert len(seen) == 22
    assert max(seen) <= 3  # that of `first`, of the operation before, and what it read
    assert len(results) == len(alive) == 2
