"""What differs between exports of models that JAX traces and that TensorFlow traces (S4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import keras

from flaxlayer.backends import current_backend
from flaxlayer.exports.traced_by_jax import JaxExporter
from flaxlayer.exports.traced_by_tensorflow import TensorFlowExporter
from flaxlayer.typing import InputSignature, PyTree, TensorFlowFunction
from flaxlayer_core import ExportModelError

__all__ = ["Endpoints", "Exporter", "current_exporter"]


class Endpoints(Protocol):
    """The layers and functions of one SavedModel."""

    def track(self, layer: keras.layers.Layer) -> None:
        """Makes the variables of a built layer variables of the SavedModel."""

    def add(
        self,
        name: str,
        function: Callable[..., PyTree],
        specs: InputSignature,
        *,
        is_static: bool,
        platforms: Sequence[str] | None,
    ) -> TensorFlowFunction:
        """Adds an endpoint; see `ExportArchive.add_endpoint`.

        Args:
            name: What it is called in the SavedModel.
            function: What it computes.
            specs: Structures of `tf.TensorSpec`.
            is_static: Whether it leaves all variables as they are.
            platforms: What it shall be served on, None where nobody said.
        """


class Exporter(Protocol):
    """How models are exported that one library traces.

    Attributes:
        onnx_packages: What an export to ONNX needs.
    """

    onnx_packages: tuple[str, ...]

    def endpoints(self, archive: keras.export.ExportArchive) -> Endpoints:
        """Returns the endpoints that an archive of Keras writes."""

    def write_onnx(
        self,
        model: keras.Model,
        filepath: str,
        input_signature: InputSignature,
        opset_version: int | None,
    ) -> None:
        """Writes a model as an ONNX file; see `export`."""


_EXPORTERS: dict[str, type[Exporter]] = {
    "jax": JaxExporter,
    "tensorflow": TensorFlowExporter,
}


def current_exporter() -> Exporter:
    """Returns what exports models of the active Keras backend.

    Raises:
        ExportModelError: If none does.
    """
    traced_by = current_backend().traced_by
    if traced_by not in _EXPORTERS:
        raise ExportModelError(
            "A model cannot be exported on this Keras backend.",
            expected=f"a model that one of {', '.join(_EXPORTERS)} traces",
            found=traced_by,
            fix="Save the model, load it under KERAS_BACKEND=jax or KERAS_BACKEND=tensorflow, and "
            "export it there: files hold on every backend.",
            law="K4",
        )
    return _EXPORTERS[traced_by]()
