"""Gradients of complex functions are the conjugates of JAX's, as TensorFlow has them."""

import jax.numpy as jnp
import numpy as np
import tensorflow as tf

from flaxlayer.backends.tensorflow.conjugates import conjugate, conjugated
from flaxlayer.backends.vjp import vjp_function

Z = np.complex64(0.5 + 0.25j)
COTANGENT = np.complex64(2.0 - 1.0j)


def test_gradients_are_those_of_tensorflow():
    gradients = conjugated(vjp_function(lambda z: [jnp.exp(1j * z)], 1, (0,)), 1)
    (found,) = gradients(jnp.asarray(Z), jnp.asarray(COTANGENT))
    z = tf.constant(Z)
    with tf.GradientTape() as tape:
        tape.watch(z)
        result = tf.exp(1j * z)
    expected = tape.gradient(result, z, output_gradients=tf.constant(COTANGENT))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_only_complex_arrays_are_conjugated():
    arrays = [jnp.float32(2.0), jnp.asarray(Z), jnp.int32(3)]
    first, second, third = conjugate(arrays)
    assert first is arrays[0]
    assert second == Z.conj()
    assert third is arrays[2]
