"""What programs ask of the backend they run on: they hold the source of what they use (K1)."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import keras

__all__ = ["batches_of", "descent", "shares_programs"]


def shares_programs() -> bool:
    """Tells whether a layer runs the very program that `jax.jit` makes of raw Flax."""
    return bool(keras.backend.backend() == "jax")


def descent(gradients: Any) -> Any:
    """Returns what optimizers descend along, of gradients by `jax.grad`."""
    return gradients if shares_programs() else jax.tree.map(jnp.conj, gradients)


def batches_of(arrays: list[Any], any_batch: bool = True) -> Any:
    """Returns what `fit` takes to see a list of tensors again and again.

    TensorFlow traces a step for the sizes that a data set tells; others see those of the tensors.
    """
    if keras.backend.backend() != "tensorflow":
        return ((arrays,) for _ in itertools.count())
    import tensorflow as tf

    batch = (tuple(arrays),)  # a list would become one tensor
    if not any_batch:
        return tf.data.Dataset.from_tensors(batch).repeat()
    return tf.data.Dataset.from_tensor_slices(batch).batch(len(arrays[0])).repeat()
