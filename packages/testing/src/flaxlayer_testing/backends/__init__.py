"""How the checks reach a layer under test on the active Keras backend; one file for each (K1)."""

from __future__ import annotations

import functools

import keras

from flaxlayer_testing.backends.protocol import Backend

__all__ = ["Backend", "current_backend"]


@functools.cache
def current_backend() -> Backend:
    """Returns the seam of the active Keras backend.

    Raises:
        SelectBackendError: If the layer does not run on it.

    Example:

    ```python
    >>> import keras
    >>> current_backend().shares_programs == (keras.backend.backend() == "jax")
    True

    ```
    """
    name = keras.backend.backend()
    if name == "torch":
        from flaxlayer_testing.backends.torch_backend import TorchBackend

        return TorchBackend()
    if name == "tensorflow":
        from flaxlayer_testing.backends.tensorflow_backend import TensorFlowBackend

        return TensorFlowBackend()
    from flaxlayer_testing.backends.jax_backend import JaxBackend

    return JaxBackend()
