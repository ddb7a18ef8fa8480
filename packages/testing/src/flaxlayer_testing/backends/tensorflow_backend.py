"""The layer under test on TensorFlow: it takes tensors, in eager calls, tapes and `tf.function`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
import tensorflow as tf

from flaxlayer_testing.oracle.call import is_array

__all__ = ["TensorFlowBackend"]


class TensorFlowBackend:
    """What the checks ask of TensorFlow; see the protocol for each method."""

    name = "tensorflow"
    shares_programs = False
    environment: tuple[str, ...] = ("KERAS_BACKEND=tensorflow",)
    distributions: tuple[str, ...] = ("tensorflow-cpu",)
    traces_models = True

    def is_array(self, leaf: Any) -> bool:
        """Tells whether a leaf is a tensor or an array of JAX or NumPy."""
        return bool(tf.is_tensor(leaf)) or is_array(leaf)

    def to_backend(self, tree: Any) -> Any:
        """Returns tensors for arrays of numbers; random keys stay, which no tensor can be."""
        return jax.tree_util.tree_map(_to_tensor, tree)

    def to_arrays(self, tree: Any) -> Any:
        """Returns arrays of NumPy for eager tensors."""
        return jax.tree_util.tree_map(_to_array, tree)

    def to_numpy(self, value: Any) -> np.ndarray[Any, Any]:
        """Returns a copy."""
        return np.array(_to_array(tf.convert_to_tensor(value)))

    def duplicate(self, array: Any) -> Any:
        """Returns another tensor."""
        return tf.identity(array)

    def variable_name(self, name: str) -> str:
        """Returns the name with all escaped that a graph takes in no name."""
        return re.sub("[^A-Za-z0-9_.-]+", lambda odd: _hex(odd[0]), name)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a `tf.function`; leaves that are no tensors are those of the last trace."""
        traced: list[Any] = []

        @tf.function(autograph=False)
        def run(*args: Any) -> list[tf.Tensor]:
            leaves, structure = jax.tree_util.tree_flatten(function(*args))
            traced[:] = [leaves, structure]
            return [leaf for leaf in leaves if tf.is_tensor(leaf)]

        def compiled(*args: Any) -> Any:
            tensors = self.to_backend(args)
            # Calls of many functions, each of which is traced once, would draw a warning.
            results = iter(run.get_concrete_function(*tensors)(*tensors))
            leaves, structure = traced
            filled = [next(results) if tf.is_tensor(leaf) else leaf for leaf in leaves]
            return self.to_arrays(jax.tree_util.tree_unflatten(structure, filled))

        return compiled

    def gradients(
        self,
        loss: Callable[[list[Any], list[Any], list[Any]], Any],
        trainable: Sequence[Any],
        inputs: Sequence[Any],
        rest: Sequence[Any],
    ) -> tuple[list[Any], list[Any]]:
        """Returns those of an eager tape."""
        values, arrays = list(map(tf.convert_to_tensor, trainable)), self.to_backend(list(inputs))
        with tf.GradientTape() as tape:
            tape.watch([*values, *arrays])
            total = loss(values, arrays, list(rest))
        found = tape.gradient(
            total, [*values, *arrays], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        gradients = [_conjugate(gradient) for gradient in self.to_arrays(found)]
        return gradients[: len(values)], gradients[len(values) :]

    def probe_loss(self, outputs: Any) -> Any:
        """Returns the loss; sizes may be unknown."""
        total = tf.zeros((), tf.float32)
        for leaf in jax.tree_util.tree_leaves(outputs):
            if not tf.is_tensor(leaf) or not (leaf.dtype.is_floating or leaf.dtype.is_complex):
                continue
            flat = tf.cast(tf.reshape(tf.math.real(leaf), [-1]), tf.float32)
            # An empty one counts for nothing, yet has a gradient, as in JAX: zeros.
            mean = tf.reduce_sum if 0 in leaf.shape else tf.reduce_mean
            total += mean(flat * _weights(flat))
        return total

    def descent(self, gradients: Any) -> Any:
        """Returns the conjugates of complex ones, which is what a tape gives."""
        return jax.tree_util.tree_map(_conjugate, gradients)

    def batches(self, arrays: Sequence[Any], *, any_batch: bool) -> Iterable[Any]:
        """Returns a data set, whose traces see the sizes or an unknown number of rows."""
        # A list would become one tensor.
        tensors = (tuple(map(_to_tensor, arrays)),)
        rows = tensors[0][0].shape[0] if any_batch else 0
        if rows:
            one = tf.data.Dataset.from_tensor_slices(tensors).batch(rows)
        else:
            one = tf.data.Dataset.from_tensors(tensors)
        repeated: Iterable[Any] = one.repeat()
        return repeated


def _to_tensor(leaf: Any) -> Any:
    if not is_array(leaf):
        return leaf
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.extended) or leaf.dtype.kind in "OSU":
        return leaf
    return tf.convert_to_tensor(np.asarray(leaf))


def _to_array(leaf: Any) -> Any:
    if not tf.is_tensor(leaf):
        return leaf
    # A scalar of bfloat16 is none of NumPy's.
    return np.asarray(leaf.numpy(), leaf.dtype.as_numpy_dtype)


def _hex(text: str) -> str:
    return "".join(f">{byte:02X}" for byte in text.encode())


def _weights(flat: tf.Tensor) -> tf.Tensor:
    if flat.shape[0] is not None:
        return np.cos(np.arange(flat.shape[0], dtype=np.float32))
    return tf.cast(tf.cos(tf.range(tf.cast(tf.size(flat), tf.float64))), tf.float32)


def _conjugate(array: Any) -> Any:
    return array.conj() if np.issubdtype(array.dtype, np.complexfloating) else array
