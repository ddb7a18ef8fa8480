"""Gradients of functions of flat arrays are those of JAX, whatever a backend takes for one."""

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer.backends.vjp import (
    apply_vjp,
    differentiable_positions,
    differentiate,
    stop_gradients,
    vjp_function,
    without_gradient,
)


def product(x, n, y):
    return [x * y, n + 1, jnp.sin(x)]


def unrolled(x):
    return [x**2, jax.lax.while_loop(lambda y: y < 10.0, lambda y: y * 2.0, x), 3.0 * x]


ARRAYS = [jnp.float32(2.0), jnp.int32(1), jnp.float32(5.0)]


def test_only_inexact_arrays_have_gradients():
    kinds = ["float32", "int32", "complex64", "bool", "bfloat16"]
    assert differentiable_positions([jnp.zeros((), kind) for kind in kinds]) == (0, 2, 4)


def test_the_function_of_gradients_takes_the_arrays_and_a_cotangent_for_each_inexact_result():
    gradients = vjp_function(product, 3, (0, 2))
    found = gradients(*ARRAYS, jnp.float32(10.0), jnp.float32(100.0))
    np.testing.assert_allclose(found, [10 * 5 + 100 * np.cos(2.0), 10 * 2], rtol=1e-6)


def test_complex_gradients_are_those_of_jax():
    def function(z):
        return [jnp.exp(1j * z)]

    z, cotangent = jnp.complex64(0.5 + 0.25j), jnp.complex64(2.0 - 1.0j)
    (expected,) = jax.vjp(lambda z: function(z)[0], z)[1](cotangent)
    (found,) = vjp_function(function, 1, (0,))(z, cotangent)
    assert found == expected
    assert found != jnp.conj(expected)


def test_what_is_kept_of_a_call_gives_the_gradients_later():
    outputs, vjp = differentiate(product, ARRAYS, (2,))
    assert [float(output) for output in outputs[:2]] == [10.0, 2.0]
    leaves, structure = jax.tree_util.tree_flatten(vjp)
    again = jax.tree_util.tree_unflatten(structure, leaves)
    (found,) = apply_vjp(again, [jnp.float32(3.0), jnp.float32(0.0)])
    assert float(found) == 6.0


def test_results_without_a_gradient_are_found_among_others():
    blocked, words = without_gradient(unrolled, [jax.ShapeDtypeStruct((), "float32")], (0,))
    assert blocked == {1}
    assert "while_loop" in words


def test_what_has_all_its_gradients_is_not_blocked():
    abstract = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in ARRAYS]
    assert without_gradient(product, abstract, (0, 2)) == (frozenset(), "")


def test_a_blocked_result_gives_no_gradient():
    gradients = vjp_function(stop_gradients(unrolled, frozenset({1})), 1, (0,))
    (found,) = gradients(jnp.float32(2.0), *map(jnp.float32, (1.0, 1000.0, 1.0)))
    assert float(found) == 2 * 2.0 + 3.0
