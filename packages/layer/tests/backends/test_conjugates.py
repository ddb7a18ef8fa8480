"""Gradients of complex functions are the conjugates of JAX's, as TensorFlow and torch have them."""

import jax.numpy as jnp
import numpy as np

from flaxlayer.backends.conjugates import conjugate, conjugated
from flaxlayer.backends.vjp import vjp_function

Z = np.complex64(0.5 + 0.25j)
COTANGENT = np.complex64(2.0 - 1.0j)


def test_gradients_are_those_of_other_libraries():
    gradients = conjugated(vjp_function(lambda z: [jnp.exp(1j * z)], 1, (0,)), 1)
    (found,) = gradients(jnp.asarray(Z), jnp.asarray(COTANGENT))
    # Of a holomorphic function they have the conjugate of the derivative, times the cotangent.
    expected = np.conj(1j * np.exp(1j * Z)) * COTANGENT
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_only_complex_arrays_are_conjugated():
    arrays = [jnp.float32(2.0), jnp.asarray(Z), jnp.int32(3)]
    first, second, third = conjugate(arrays)
    assert first is arrays[0]
    assert second == Z.conj()
    assert third is arrays[2]
