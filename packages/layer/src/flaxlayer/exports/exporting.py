"""`export`: a model as an artefact that runs without JAX, Flax and Keras (S4)."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any

import keras

from flaxlayer.compat.keras_exports import announce, model_signature
from flaxlayer.exports.archive import ExportArchive
from flaxlayer.exports.exporters import current_exporter
from flaxlayer.extras import require
from flaxlayer.typing import InputSignature
from flaxlayer_core import ExportModelError

__all__ = ["export"]


def export(
    model: keras.Model,
    filepath: str | PathLike[str],
    format: str = "tf_saved_model",
    *,
    verbose: bool | None = None,
    input_signature: InputSignature = None,
    **kwargs: Any,
) -> None:
    """Exports a model for inference, as `model.export` does, where that cannot on its own.

    - `"tf_saved_model"`: on the JAX backend also of linear algebra that JAX calls LAPACK for, of
      unknown dimensions that have to be equal, and of modules without a gradient.
    - `"litert"`: on the JAX backend too.
    - `"onnx"`: on the TensorFlow backend too; on the JAX backend also for models that change state,
      and of more operations.

    Everything else is left to `model.export`.

    Args:
        model: A built model.
        filepath: The folder or file to write.
        format: One of Keras's formats.
        verbose: Whether to print what was written; None for Keras's choice.
        input_signature: What describes each positional argument of the model: structures of
            `keras.InputSpec`, `tf.TensorSpec`, Keras tensors or arrays. None for the inputs that
            it was made with, of any batch size.
        **kwargs: Further arguments of the format: those of `ExportArchive.add_endpoint` for a
            SavedModel, attributes of `tf.lite.TFLiteConverter`, `opset_version` for ONNX.

    Raises:
        ExportModelError: If the model cannot be exported in that format.
        LowerModuleError: If TensorFlow cannot run an operation in it (K4).
        ImportExtraError: If a package that the format needs is not installed.

    Example:

    ```python
    >>> import tempfile
    >>> import flax.linen as nn, keras, tensorflow as tf
    >>> from flaxlayer import FlaxLayer, export
    >>> model = keras.Sequential([keras.Input((3,)), FlaxLayer(nn.Dense(2))])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(model, folder, verbose=False)
    ...     served = tf.saved_model.load(folder)
    >>> served.serve(tf.ones((5, 3))).shape.as_list()
    [5, 2]

    ```
    """
    write = _WRITERS.get(format)
    if write is None:
        options = {"verbose": verbose, "input_signature": input_signature, **kwargs}
        model.export(filepath, format=format, **options)
        return
    write(model, str(filepath), input_signature, **kwargs)
    if verbose is None or verbose:
        announce(f"Saved artifact at '{filepath}'.")


def _saved_model(
    model: keras.Model, filepath: str, input_signature: InputSignature, **options: Any
) -> None:
    archive, signature = ExportArchive(), _signature(model, input_signature)
    archive.track_and_add_endpoint("serve", model, signature, **options)
    archive.write_out(filepath, verbose=False)


def _litert(
    model: keras.Model, filepath: str, input_signature: InputSignature, **options: Any
) -> None:
    require("tensorflow", "tensorflow", "An export to LiteRT")
    from flaxlayer.exports.litert import write_litert

    write_litert(model, filepath, _signature(model, input_signature), options)


def _onnx(
    model: keras.Model,
    filepath: str,
    input_signature: InputSignature,
    opset_version: int | None = None,
) -> None:
    exporter = current_exporter()
    for package in exporter.onnx_packages:
        require(package, "onnx", "An export to ONNX")
    exporter.write_onnx(model, filepath, _signature(model, input_signature), opset_version)


def _signature(model: keras.Model, given: InputSignature) -> InputSignature:
    signature = model_signature(model) if given is None else given
    if signature is None:
        raise ExportModelError(
            f"Model {model.name!r} cannot be exported without its input signature.",
            expected="Keras 3.8 or newer, which tells it",
            found=f"Keras {keras.__version__}",
            fix="Give input_signature=[keras.InputSpec(shape=..., dtype=...)].",
            law="S4",
        )
    return signature


_WRITERS: dict[str, Callable[..., None]] = {
    "tf_saved_model": _saved_model,
    "litert": _litert,
    "onnx": _onnx,
}
