"""Arrays of TensorFlow, NumPy and Keras as JAX sees them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import keras
import numpy as np
import tensorflow as tf

from flaxlayer.backends.dtypes import canonical_dtype, number_spec
from flaxlayer.typing import BackendArray
from flaxlayer_core import ArraySpec, CallArgumentError

__all__ = ["describe", "to_jax", "to_tensor"]


def describe(array: BackendArray) -> ArraySpec:
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
    _refuse_other(array)
    dtype = array.dtype.as_numpy_dtype if isinstance(array.dtype, tf.DType) else array.dtype
    return ArraySpec(tuple(array.shape), canonical_dtype(dtype))


def to_tensor(array: BackendArray) -> tf.Tensor:
    """Returns a tensor of the dtype that JAX gives the array."""
    if isinstance(array, jax.Array):
        array = np.asarray(array)
    if type(array) in (float, complex):
        return tf.constant(array, tf.as_dtype(number_spec(array).dtype))
    tensor = tf.convert_to_tensor(array)
    dtype = tf.as_dtype(describe(tensor).dtype)
    return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)


def to_jax(array: BackendArray) -> jax.Array:
    """Returns the value of an array of TensorFlow or NumPy."""
    _refuse_other(array)
    if isinstance(array, keras.Variable):
        array = array.value
    # A scalar bfloat16 tensor has no array protocol; what `numpy` returns has.
    return jnp.asarray(array.numpy() if tf.is_tensor(array) else array)


def _refuse_other(array: BackendArray) -> None:
    if isinstance(array, tf.RaggedTensor | tf.SparseTensor):
        fix = "Convert it: tensor.to_tensor() or tf.sparse.to_dense(tensor)."
        raise _no_input("that is not dense", "a dense tensor", type(array).__name__, fix)
    if getattr(array, "dtype", None) in (tf.string, tf.resource, tf.variant):
        fix = "Look its values up before: keras.layers.StringLookup, or tf.strings.to_number."
        raise _no_input("of no numbers", "numbers", array.dtype.name, fix)


def _no_input(which: str, expected: str, found: str, fix: str) -> CallArgumentError:
    return CallArgumentError(
        f"A FlaxLayer got a tensor {which}.", expected=expected, found=found, fix=fix, law="A1"
    )
