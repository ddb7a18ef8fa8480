"""Exports of models that TensorFlow traces: Keras's own, with layers that are lowered (S4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from flaxlayer.typing import InputSignature, PyTree, TensorFlowFunction
from flaxlayer_core import ExportModelError

__all__ = ["TensorFlowExporter"]


class TensorFlowExporter:
    """Exports what Keras on the TensorFlow backend runs."""

    onnx_packages: tuple[str, ...] = ("jax2onnx", "tf2onnx")

    def endpoints(self, archive: keras.export.ExportArchive) -> TensorFlowEndpoints:
        """Returns endpoints that TensorFlow traces, with the variables of Keras themselves."""
        return TensorFlowEndpoints(archive)

    def write_onnx(
        self,
        model: keras.Model,
        filepath: str,
        input_signature: InputSignature,
        opset_version: int | None,
    ) -> None:
        """Converts the graph by tf2onnx, and the programs of JAX in it by jax2onnx."""
        from flaxlayer.exports.onnx.from_tensorflow import write_onnx

        write_onnx(model, filepath, input_signature, opset_version)


class TensorFlowEndpoints:
    """Functions that TensorFlow traces in an archive.

    Args:
        archive: The archive.
    """

    def __init__(self, archive: keras.export.ExportArchive) -> None:
        self._archive = archive
        self._tracked: list[keras.layers.Layer] = []

    def track(self, layer: keras.layers.Layer) -> None:
        """Lets Keras track a layer, once."""
        if all(layer is not tracked for tracked in self._tracked):
            self._archive.track(layer)
            self._tracked.append(layer)

    def add(
        self,
        name: str,
        function: Callable[..., PyTree],
        specs: InputSignature,
        *,
        is_static: bool,
        platforms: Sequence[str] | None,
    ) -> TensorFlowFunction:
        """Lets Keras trace a function.

        Raises:
            ExportModelError: If it is to be served on platforms of its own.
        """
        if platforms is not None:
            raise ExportModelError(
                f"Endpoint {name!r} cannot be exported for platforms of its own.",
                expected="layers that were made for them, on the TensorFlow backend",
                found=f"native_serialization_platforms={platforms!r}",
                fix="Give it to FlaxLayer, or export with KERAS_BACKEND=jax.",
                law="K2",
            )
        served = _static(function) if is_static else function
        return self._archive.add_endpoint(name, served, specs)


def _static(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    def call(*args: PyTree) -> PyTree:
        with keras.StatelessScope():
            return function(*args)

    return call
