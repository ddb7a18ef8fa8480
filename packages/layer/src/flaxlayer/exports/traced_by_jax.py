"""Exports of models that JAX traces: TensorFlow and ONNX get what was lowered (S4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import keras

from flaxlayer.compat.keras_exports import hold_variable
from flaxlayer.typing import InputSignature, PyTree, TensorFlowFunction

if TYPE_CHECKING:
    from flaxlayer.exports.endpoints import HeldVariable

__all__ = ["JaxExporter"]


class JaxExporter:
    """Exports what Keras on the JAX backend runs."""

    onnx_packages: tuple[str, ...] = ("jax2onnx",)

    def endpoints(self, archive: keras.export.ExportArchive) -> JaxEndpoints:
        """Returns endpoints that are lowered, with variables that stand for those of Keras."""
        return JaxEndpoints(archive)

    def write_onnx(
        self,
        model: keras.Model,
        filepath: str,
        input_signature: InputSignature,
        opset_version: int | None,
    ) -> None:
        """Converts what JAX traces by jax2onnx."""
        from flaxlayer.exports.onnx.from_jax import write_onnx

        write_onnx(model, filepath, input_signature, opset_version)


class JaxEndpoints:
    """Functions of JAX as functions of TensorFlow in an archive.

    Args:
        archive: The archive.
    """

    def __init__(self, archive: keras.export.ExportArchive) -> None:
        self._archive = archive
        self._held: dict[int, HeldVariable] = {}

    def track(self, layer: keras.layers.Layer) -> None:
        """Makes a variable of TensorFlow for each one of the layer that has none yet."""
        for variable in (*layer.trainable_variables, *layer.non_trainable_variables):
            if id(variable) not in self._held:
                self._held[id(variable)] = variable, self._hold(variable)

    def _hold(self, variable: keras.Variable) -> object:
        import tensorflow as tf

        from flaxlayer.backends.tensorflow.tensors import to_tensor

        value, trains = to_tensor(variable.value), bool(variable.trainable)
        held = tf.Variable(value, trainable=trains, name=variable.path)
        hold_variable(self._archive, held, trainable=trains)
        return held

    def add(
        self,
        name: str,
        function: Callable[..., PyTree],
        specs: InputSignature,
        *,
        is_static: bool,
        platforms: Sequence[str] | None,
    ) -> TensorFlowFunction:
        """Lowers a function for the platforms, for the CPU where nobody said."""
        from flaxlayer.exports.endpoints import tensorflow_function

        served = tensorflow_function(
            function,
            specs,
            list(self._held.values()),
            is_static=is_static,
            platforms=platforms or ("cpu",),
            title=f"Endpoint {name!r}",
        )
        return self._archive.add_endpoint(name, served)
