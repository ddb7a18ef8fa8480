"""Arrays of TensorFlow, NumPy and Keras as JAX sees them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import tensorflow as tf

from flaxlayer.backends.dtypes import canonical_dtype, number_spec
from flaxlayer_core import ArraySpec, CallArgumentError

__all__ = ["describe", "to_jax", "to_tensor"]


def describe(array: Any) -> ArraySpec:
    """Returns shape and dtype as JAX gives them: 64-bit types only under x64.

    Raises:
        CallArgumentError: If not even the number of dimensions is known, or it is no dense array.
    """
    if type(array) in (float, complex):
        return number_spec(array)
    if isinstance(array.shape, tf.TensorShape) and array.shape.rank is None:
        raise CallArgumentError(
            "A FlaxLayer got a tensor of unknown rank.",
            expected="a tensor whose number of dimensions is known",
            found=str(array),
            fix="Set it: tensor.set_shape([None, ...]) or tf.ensure_shape.",
            law="K2",
        )
    if isinstance(array, tf.RaggedTensor | tf.SparseTensor):
        raise CallArgumentError(
            "A FlaxLayer got a tensor that is not dense.",
            expected="a dense tensor",
            found=type(array).__name__,
            fix="Convert it: tensor.to_tensor() or tf.sparse.to_dense(tensor).",
            law="A1",
        )
    dtype = array.dtype.as_numpy_dtype if isinstance(array.dtype, tf.DType) else array.dtype
    return ArraySpec(tuple(array.shape), canonical_dtype(dtype))


def to_tensor(array: Any) -> tf.Tensor:
    """Returns a tensor of the dtype that JAX gives the array."""
    if isinstance(array, jax.Array):
        array = np.asarray(array)
    if type(array) in (float, complex):
        return tf.constant(array, tf.as_dtype(number_spec(array).dtype))
    tensor = tf.convert_to_tensor(array)
    dtype = tf.as_dtype(describe(tensor).dtype)
    return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)


def to_jax(array: Any) -> jax.Array:
    """Returns the value of an array of TensorFlow or NumPy."""
    if isinstance(array, keras.Variable):
        array = array.value
    # A scalar bfloat16 tensor has no array protocol; what `numpy` returns has.
    return jnp.asarray(array.numpy() if tf.is_tensor(array) else array)
