"""The words for what is passed around."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import keras

from flaxlayer_core import Array, Path, PyTree, Rngs, Variables

__all__ = [
    "Array",
    "BackendArray",
    "DType",
    "Dimension",
    "FlatCallable",
    "InputSignature",
    "Layout",
    "Path",
    "PyTree",
    "Rngs",
    "TensorFlowFunction",
    "Variables",
    "Write",
]

BackendArray: TypeAlias = Any
"""An array as the active Keras backend or NumPy has it, traced or not, or a variable of Keras."""

DType: TypeAlias = Any
"""A dtype of NumPy, JAX or the backend, that of random keys included, or its name."""

Dimension: TypeAlias = Any
"""A size: a number, or a symbol of `jax.export`."""

FlatCallable: TypeAlias = Callable[..., Sequence[Array]]
"""A function that takes arrays one by one, and returns a flat sequence of arrays."""

InputSignature: TypeAlias = Any
"""What describes each positional argument: structures of `keras.InputSpec`, `tf.TensorSpec`, Keras
tensors or arrays."""

TensorFlowFunction: TypeAlias = Any
"""A `tf.function`, whose class TensorFlow does not name."""

Layout: TypeAlias = keras.distribution.TensorLayout | jax.sharding.Sharding
"""Where the parts of a variable are, as `keras.Variable(layout=...)` takes it."""

Write: TypeAlias = tuple[keras.Variable, BackendArray]
"""A variable and its new value."""
