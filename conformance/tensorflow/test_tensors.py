"""Tensors of TensorFlow in the harness: compared, differentiated and batched (T4, K1)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from flaxlayer import FlaxLayer
from flaxlayer_testing import Subject
from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.subject.parity import compare_runs

X = np.linspace(-1.0, 1.0, 20, dtype=np.float32).reshape(4, 5)


@pytest.mark.law("T4")
def test_tensors_are_compared_in_their_own_dtype():
    compare = functools.partial(compare_runs, Subject(nn.Dense(4), (X,)), path="outputs")
    assert compare(np.ones(2, np.int32), tf.ones(2, tf.int32)) == {"int32": 0.0}
    scalar = jnp.ones((), jnp.bfloat16)
    assert compare(scalar, tf.ones((), tf.bfloat16)) == {"bfloat16": 0.0}
    with pytest.raises(AssertionError, match="differs in dtype"):
        compare(np.ones(2, np.int32), tf.ones(2, tf.int64))
    with pytest.raises(AssertionError, match="differs in value"):
        compare(np.ones(2, np.int32), tf.constant([1, 2]))


@pytest.mark.law("T4")
def test_gradients_of_complex_params_are_those_of_jax():
    backend, z = current_backend(), np.complex64(1 + 2j)
    (found,), _ = backend.gradients(
        lambda values, *_: tf.math.real(values[0] ** 2), [tf.constant(z)], [], []
    )
    expected = jax.grad(lambda z: jnp.real(z**2))(z)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # What a tape gives is what an optimizer descends along.
    np.testing.assert_allclose(backend.descent([expected])[0], np.conj(expected), rtol=1e-6)


@pytest.mark.law("K1")
def test_an_empty_batch_has_gradients_of_zeros_and_makes_a_data_set():
    layer = FlaxLayer(nn.Dense(3))
    layer.build((None, 4))
    empty, backend = np.zeros((0, 4), np.float32), current_backend()
    trainable = [variable.value for variable in layer.trainable_variables]

    def loss(trainable, inputs, rest):
        return backend.probe_loss(layer.stateless_call(trainable, rest, *inputs)[0])

    found, _ = backend.gradients(loss, trainable, [empty], layer.non_trainable_variables)
    assert [np.asarray(gradient).any() for gradient in found] == [False, False]
    ((arrays,),) = backend.batches([empty], any_batch=True).take(1)
    assert arrays[0].shape == (0, 4)
