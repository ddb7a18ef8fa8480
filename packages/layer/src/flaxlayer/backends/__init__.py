"""What the layer asks of the active Keras backend; one file or folder for each backend (K1)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import keras

from flaxlayer.backends.protocol import Backend, Run
from flaxlayer_core import SelectBackendError

__all__ = ["Backend", "Run", "current_backend", "unconverted"]

Function = TypeVar("Function", bound=Callable[..., object])


def unconverted(function: Function) -> Function:
    """Keeps TensorFlow's AutoGraph from rewriting a function, and what it calls."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow

    plain: Function = tensorflow.autograph.experimental.do_not_convert(function)
    return plain


@functools.cache
def current_backend() -> Backend:
    """Returns the part of the layer that belongs to the active Keras backend.

    Raises:
        SelectBackendError: If Keras runs on a backend that the layer does not support.
    """
    name = keras.backend.backend()
    if name == "jax":
        from flaxlayer.backends.jax import JaxBackend

        return JaxBackend()
    if name == "tensorflow":
        from flaxlayer.backends.tensorflow.backend import TensorFlowBackend

        return TensorFlowBackend()
    raise SelectBackendError(
        "FlaxLayer cannot run on this Keras backend.",
        expected="KERAS_BACKEND=jax or KERAS_BACKEND=tensorflow",
        found=name,
        fix="Set KERAS_BACKEND before keras is imported.",
    )
