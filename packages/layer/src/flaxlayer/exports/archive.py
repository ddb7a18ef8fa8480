"""`ExportArchive`: SavedModels with endpoints, from the JAX backend too (S4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import keras

from flaxlayer.exports.exporters import current_exporter
from flaxlayer.extras import require
from flaxlayer.typing import InputSignature, PyTree, TensorFlowFunction
from flaxlayer_core import BuildModuleError

if TYPE_CHECKING:
    import tensorflow as tf

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
        self._endpoints = current_exporter().endpoints(self._archive)

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables of TensorFlow that are tracked."""
        return list(self._archive.variables)

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """Those of them that are trainable."""
        return list(self._archive.trainable_variables)

    @property
    def non_trainable_variables(self) -> list[tf.Variable]:
        """The others."""
        return list(self._archive.non_trainable_variables)

    def track(self, resource: object) -> None:
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
        self._endpoints.track(resource)

    def add_endpoint(
        self,
        name: str,
        fn: Callable[..., PyTree],
        input_signature: InputSignature = None,
        *,
        is_static: bool = False,
        native_serialization_platforms: Sequence[str] | None = None,
    ) -> TensorFlowFunction:
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

        from flaxlayer.exports.endpoints import tensor_specs

        return self._endpoints.add(
            name,
            fn,
            tensor_specs(input_signature),
            is_static=is_static,
            platforms=native_serialization_platforms,
        )

    def track_and_add_endpoint(
        self,
        name: str,
        resource: keras.layers.Layer,
        input_signature: InputSignature,
        **kwargs: Any,
    ) -> TensorFlowFunction:
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
        self,
        filepath: str | PathLike[str],
        options: tf.saved_model.SaveOptions | None = None,
        *,
        verbose: bool = True,
    ) -> None:
        """Writes the SavedModel.

        Args:
            filepath: The folder.
            options: `tf.saved_model.SaveOptions`.
            verbose: Whether to print the endpoints.
        """
        self._archive.write_out(str(filepath), options, verbose=verbose)
