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
    """Keeps a function, and what it calls, from TensorFlow's AutoGraph and torch's Dynamo.

    A function that `torch.compile` compiles has a graph break there.
    """
    name, plain = keras.backend.backend(), function
    if name == "tensorflow":
        import tensorflow

        plain = tensorflow.autograph.experimental.do_not_convert(function)
    if name == "torch":
        import torch

        plain = torch.compiler.disable(function, reason="a Flax module runs in JAX")
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
    if name == "torch":
        from flaxlayer.backends.torch.torch_backend import TorchBackend

        return TorchBackend()
    raise SelectBackendError(
        "FlaxLayer cannot run on this Keras backend.",
        expected="KERAS_BACKEND=jax, KERAS_BACKEND=tensorflow or KERAS_BACKEND=torch",
        found=name,
        fix="Set KERAS_BACKEND before keras is imported.",
    )
