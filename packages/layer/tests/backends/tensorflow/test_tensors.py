"""Arrays of TensorFlow, NumPy and Keras are described and converted as JAX has them."""

import flax.linen as nn
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import tensorflow as tf

from flaxlayer import FlaxLayer
from flaxlayer.backends.tensorflow.tensors import describe, to_jax, to_tensor
from flaxlayer_core import CallArgumentError


def of_unknown_rank():
    seen = []

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32)])
    def run(x):
        seen.append(x)
        return x

    run.get_concrete_function()
    return seen[0]


@pytest.mark.parametrize(
    "array",
    [np.ones((2, 3)), tf.ones((2, 3), tf.float64), keras.Variable(np.ones((2, 3), "float32"))],
    ids=["numpy", "tensor", "variable"],
)
def test_64_bits_are_32(array):
    assert str(describe(array)) == "float32[2,3]"
    assert to_tensor(array).dtype == tf.float32


def test_a_number_of_python_is_weakly_typed_and_becomes_a_scalar():
    assert describe(1.5).weak
    tensor = to_tensor(1.5)
    assert (tensor.dtype, tensor.shape.rank) == (tf.float32, 0)


def test_unknown_sizes_are_described_and_an_unknown_rank_is_refused():
    assert describe(keras.KerasTensor((None, 3))).shape == (None, 3)
    with pytest.raises(CallArgumentError, match="unknown rank"):
        describe(of_unknown_rank())


@pytest.mark.parametrize(
    "array",
    [
        tf.constant(1.5, tf.bfloat16),
        keras.Variable(np.float32(1.5)),
        np.float32(1.5),
        jnp.float32(1.5),
    ],
    ids=["bfloat16", "variable", "numpy", "jax"],
)
def test_values_arrive_in_jax(array):
    assert float(to_jax(array)) == 1.5


def test_an_array_of_jax_becomes_a_tensor():
    tensor = to_tensor(jnp.arange(3, dtype=jnp.bfloat16))
    assert tensor.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(tensor, tf.float32), [0.0, 1.0, 2.0])


@pytest.mark.law("A1")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tf.ragged.constant([[1.0], [2.0, 3.0]]), "not dense"),
        (tf.sparse.from_dense([[1.0, 0.0]]), "not dense"),
        (tf.constant(["a", "b"]), "of no numbers"),
    ],
    ids=["ragged", "sparse", "text"],
)
def test_tensors_that_are_no_dense_numbers_are_refused_by_name(value, message):
    layer = FlaxLayer(nn.Dense(2))
    for _ in range(2):
        with pytest.raises(CallArgumentError, match=message):
            layer(value)
    layer(tf.ones((1, 2)))
    with pytest.raises(CallArgumentError, match=message):
        layer(value)
