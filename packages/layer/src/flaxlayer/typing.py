"""The words for what is passed around."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import keras

from flaxlayer_core import Array, Path, PyTree, Rngs, Variables

__all__ = [
    "Args",
    "Array",
    "BackendArray",
    "DType",
    "Dimension",
    "FlatCallable",
    "Function",
    "InputSignature",
    "Json",
    "KerasStore",
    "Kwargs",
    "Layout",
    "Path",
    "PyTree",
    "Rngs",
    "Shape",
    "TensorFlowFunction",
    "Variables",
    "Write",
]

Args: TypeAlias = tuple[PyTree, ...]
"""Positional arguments of a call: arrays in any trees, and static values."""

Kwargs: TypeAlias = Mapping[str, PyTree]
"""Keyword arguments of a call."""

Json: TypeAlias = Any
"""What a configuration or a JSON text holds, checked or not."""

KerasStore: TypeAlias = Any
"""What Keras hands to `save_own_variables` and `load_own_variables`: arrays by key."""

Shape: TypeAlias = Any
"""A shape, or a structure of shapes, as `Layer.build` takes it."""

BackendArray: TypeAlias = Any
"""An array as the active Keras backend or NumPy has it, traced or not, or a variable of Keras."""

DType: TypeAlias = Any
"""A dtype of NumPy, JAX or the backend, that of random keys included, or its name."""

Dimension: TypeAlias = Any
"""A size: a number, or a symbol of `jax.export`."""

Function: TypeAlias = Callable[..., Any]
"""A function of whatever it takes."""

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
