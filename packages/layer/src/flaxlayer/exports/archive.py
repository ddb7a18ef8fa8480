"""`ExportArchive`: SavedModels with endpoints, from the JAX backend too (S4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import keras

from flaxlayer.extras import require
from flaxlayer_core import BuildModuleError, ExportModelError

__all__ = ["ExportArchive"]


class ExportArchive:
    """Writes SavedModels of models and layers, as `keras.export.ExportArchive` does.

    On the JAX backend the endpoints are lowered as on the TensorFlow backend: also linear algebra
    that JAX calls LAPACK for, unknown dimensions that have to be equal, modules without a gradient.
    Variables that are tracked are variables of the SavedModel, by their paths, and what an
    endpoint changes in them is kept; each is there once, however many endpoints use it.

    Raises:
        ImportExtraError: If TensorFlow is not installed.

    Example:

    ```python
    >>> import flax.linen as nn, keras
    >>> from flaxlayer import ExportArchive, FlaxLayer
    >>> layer = FlaxLayer(nn.Dense(2))
    >>> layer.build((None, 3))
    >>> archive = ExportArchive()
    >>> archive.track(layer)
    >>> signature = [keras.InputSpec(shape=(None, 3), dtype="float32")]
    >>> endpoint = archive.add_endpoint("serve", layer, signature)
    >>> endpoint([[1.0, 2.0, 3.0]]).shape.as_list()
    [1, 2]

    ```
    """

    def __init__(self) -> None:
        require("tensorflow", "tensorflow", "ExportArchive")
        self._archive = keras.export.ExportArchive()
        self._held: dict[int, tuple[keras.Variable, Any]] = {}
        self._tracked: list[keras.layers.Layer] = []

    @property
    def variables(self) -> list[Any]:
        """The variables of TensorFlow that are tracked."""
        return list(self._archive.variables)

    @property
    def trainable_variables(self) -> list[Any]:
        """Those of them that are trainable."""
        return list(self._archive.trainable_variables)

    @property
    def non_trainable_variables(self) -> list[Any]:
        """The others."""
        return list(self._archive.non_trainable_variables)

    def track(self, resource: Any) -> None:
        """Makes the variables of a layer or model variables of the SavedModel.

        Args:
            resource: A built layer or model, or a trackable resource of TensorFlow.

        Raises:
            BuildModuleError: If the layer is not built.
        """
        if not isinstance(resource, keras.layers.Layer):
            self._archive.track(resource)
            return
        if not resource.built:
            raise BuildModuleError(
                f"Layer {resource.name!r} cannot be tracked before it is built.",
                expected="a layer that was called or built",
                found="a layer without weights",
                fix="Call it on data, or layer.build(input_shape).",
                law="S4",
            )
        if keras.backend.backend() != "jax":
            if all(resource is not tracked for tracked in self._tracked):
                self._archive.track(resource)
                self._tracked.append(resource)
            return
        for variable in (*resource.trainable_variables, *resource.non_trainable_variables):
            self._hold(variable)

    def _hold(self, variable: keras.Variable) -> None:
        import tensorflow as tf

        from flaxlayer.backends.tensorflow.tensors import to_tensor

        if id(variable) in self._held:
            return
        value, trains = to_tensor(variable.value), bool(variable.trainable)
        held = tf.Variable(value, trainable=trains, name=variable.path)
        self._held[id(variable)] = variable, held
        archive = self._archive
        own = archive.trainable_variables if trains else archive.non_trainable_variables
        own.append(held)
        archive.variables.append(held)

    def add_endpoint(
        self,
        name: str,
        fn: Callable[..., Any],
        input_signature: Any = None,
        *,
        is_static: bool = False,
        native_serialization_platforms: Sequence[str] | None = None,
    ) -> Any:
        """Adds a function to serve.

        Args:
            name: What it is called in the SavedModel.
            fn: A layer, a model, or a function of them; or a `tf.function` that was called.
            input_signature: What describes each positional argument: structures of
                `keras.InputSpec`, `tf.TensorSpec`, Keras tensors or arrays. None for a
                `tf.function`.
            is_static: Whether it leaves all variables as they are: no state is written.
            native_serialization_platforms: What it shall be served on, from the JAX backend: some
                of `"cpu"`, `"cuda"`, `"rocm"` and `"tpu"`; None for the CPU. On the TensorFlow
                backend the layers have this argument.

        Returns:
            The function of TensorFlow.

        Raises:
            LowerModuleError: If TensorFlow cannot run an operation in it (K4).
            ExportModelError: If it cannot be traced for inputs of unknown size.
        """
        if input_signature is None:
            return self._archive.add_endpoint(name, fn)

        from flaxlayer.exports.endpoints import tensor_specs, tensorflow_function

        specs = tensor_specs(input_signature)
        if keras.backend.backend() != "jax":
            _refuse_platforms(name, native_serialization_platforms)
            return self._archive.add_endpoint(name, _static(fn) if is_static else fn, specs)
        served = tensorflow_function(
            fn,
            specs,
            list(self._held.values()),
            is_static=is_static,
            platforms=native_serialization_platforms or ("cpu",),
            title=f"Endpoint {name!r}",
        )
        return self._archive.add_endpoint(name, served)

    def track_and_add_endpoint(
        self, name: str, resource: Any, input_signature: Any, **kwargs: Any
    ) -> Any:
        """Tracks a layer or model, and adds its call as an endpoint; see these methods."""
        self.track(resource)
        return self.add_endpoint(name, resource.__call__, input_signature, **kwargs)

    def add_variable_collection(self, name: str, variables: Sequence[keras.Variable]) -> None:
        """Adds variables to the SavedModel, as a list with a name.

        Args:
            name: What the list is called.
            variables: Variables of Keras or of TensorFlow.
        """
        self._archive.add_variable_collection(name, variables)

    def write_out(
        self, filepath: str | PathLike[str], options: Any = None, *, verbose: bool = True
    ) -> None:
        """Writes the SavedModel.

        Args:
            filepath: The folder.
            options: `tf.saved_model.SaveOptions`.
            verbose: Whether to print the endpoints.
        """
        self._archive.write_out(str(filepath), options, verbose=verbose)


def _refuse_platforms(name: str, platforms: Sequence[str] | None) -> None:
    if platforms is not None:
        raise ExportModelError(
            f"Endpoint {name!r} cannot be exported for platforms of its own.",
            expected="layers that were made for them, on the TensorFlow backend",
            found=f"native_serialization_platforms={platforms!r}",
            fix="Give it to FlaxLayer, or export with KERAS_BACKEND=jax.",
            law="K2",
        )


def _static(fn: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        with keras.StatelessScope():
            return fn(*args)

    return call
