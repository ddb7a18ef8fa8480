"""What a result depends on, beside functions that say it by themselves."""

import jax
import jax.numpy as jnp
import pytest

from flaxlayer_testing.oracle.dependence import needed_inputs, operations

X, FLAG = jnp.ones(3), jnp.asarray(True)


def scan(unused, slope, start, xs, ignored):
    """A carry that reaches the results only through another carry."""

    def body(carry, inputs):
        early, _, lost = carry
        x, y = inputs
        return (early + slope * x, early, lost + y), x

    (_, late, _), _ = jax.lax.scan(body, (start, 0.0, unused), (xs, ignored))
    return late


def loop(limit, step, value, lost):
    """Counts up to a limit; what it counts by decides, too."""

    def body(carry):
        count, value, lost = carry
        return count + step, value * 2.0, lost + count

    return jax.lax.while_loop(lambda carry: carry[0] < limit, body, (0.0, value, lost))[1]


def branches(flag, first, second, neither):
    def one(first, second, neither):
        return first, neither

    def other(first, second, neither):
        return second, neither

    return jax.lax.cond(flag, one, other, first, second, neither)[0]


@jax.custom_vjp
def custom(x, scale, unused):
    return x * scale


custom.defvjp(lambda x, scale, unused: (x * scale, scale), lambda scale, g: (g * scale, g, g))


@jax.custom_jvp
def forward(x, unused):
    return x + 1.0


forward.defjvps(lambda t, out, x, unused: t, None)


def handed_on(x, unused):
    """Returns what it does not use from a compiled function."""
    return jax.jit(lambda x, unused: (x + 1.0, unused))(x, unused)[0]


CASES = {
    "scan": (scan, (1.0, 2.0, 3.0, X, X), [False, True, True, True, False]),
    "while": (loop, (3.0, 1.0, 2.0, 0.0), [True, True, True, False]),
    "cond": (branches, (FLAG, 1.0, 2.0, 3.0), [True, True, True, False]),
    "custom_vjp": (custom, (1.0, 2.0, 3.0), [True, True, False]),
    "custom_jvp": (forward, (1.0, 2.0), [True, False]),
    "jit": (handed_on, (1.0, 2.0), [True, False]),
    "remat": (jax.checkpoint(handed_on), (1.0, 2.0), [True, False]),
    "vmap": (jax.vmap(handed_on), (X, X), [True, False]),
    "constant": (lambda x: 1.0, (1.0,), [False]),
    "unchanged": (lambda x, unused: x, (1.0, 2.0), [True, False]),
}


@pytest.mark.law("T10")
@pytest.mark.parametrize("name", CASES)
def test_an_input_is_needed_where_the_results_depend_on_it(name):
    function, inputs, expected = CASES[name]
    assert needed_inputs(jax.make_jaxpr(function)(*inputs).jaxpr) == expected


@pytest.mark.law("T10")
def test_only_the_wanted_results_count():
    traced = jax.make_jaxpr(lambda x, y: (x * 2.0, y * 2.0))(1.0, 2.0)
    assert needed_inputs(traced.jaxpr, [False, True]) == [False, True]


@pytest.mark.law("T10")
def test_what_a_side_effect_shows_is_needed():
    def shows(x, shown):
        jax.debug.print("{}", shown)
        return x

    assert needed_inputs(jax.make_jaxpr(shows)(1.0, 2.0).jaxpr) == [True, True]


@pytest.mark.law("T10")
def test_operations_of_programs_inside_are_found():
    def inside(flag, x):
        counted = jax.lax.while_loop(lambda c: c < 9.0, jax.jit(jnp.sin), x)
        return jax.lax.cond(flag, jnp.cos, lambda x: jax.lax.scan(tan, x, None, 3)[0], counted)

    def tan(carry, _):
        return jnp.tan(carry), None

    names = {part.primitive.name for part in operations(jax.make_jaxpr(inside)(FLAG, 1.0).jaxpr)}
    assert {"while", "lt", "sin", "cond", "cos", "scan", "tan"} <= names
