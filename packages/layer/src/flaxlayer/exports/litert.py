"""LiteRT files, by way of a SavedModel (S4)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf

from flaxlayer.exports.archive import ExportArchive
from flaxlayer.typing import InputSignature
from flaxlayer_core import ExportModelError

__all__ = ["write_litert"]


def write_litert(
    model: keras.Model,
    filepath: str,
    input_signature: InputSignature,
    options: Mapping[str, object],
) -> None:
    """Writes a model as a LiteRT file.

    Args:
        model: A built model.
        filepath: The file; its name ends with `.tflite`.
        input_signature: What describes each positional argument.
        options: Attributes of `tf.lite.TFLiteConverter`, those of its `target_spec` as a dict.

    Raises:
        ExportModelError: If the file has another ending, an option is unknown, or the converter
            refuses an operation.
        LowerModuleError: If TensorFlow cannot run an operation in the model (K4).
    """
    if not filepath.endswith(".tflite"):
        raise ExportModelError(
            f"Model {model.name!r} cannot be exported to {filepath!r}.",
            expected="a file that ends with .tflite",
            found=filepath,
            fix="Name it so.",
            law="S4",
        )
    with tempfile.TemporaryDirectory() as folder:
        archive = ExportArchive()
        archive.track_and_add_endpoint("serve", model, input_signature, is_static=True)
        without_gradients = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        archive.write_out(folder, without_gradients, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        kinds = tf.lite.OpsSet
        converter.target_spec.supported_ops = [kinds.TFLITE_BUILTINS, kinds.SELECT_TF_OPS]
        _configure(converter, options)
        data = _convert(converter, model.name)
    Path(filepath).write_bytes(data)


def _configure(converter: tf.lite.TFLiteConverter, options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if not hasattr(converter, name):
            raise ExportModelError(
                "A LiteRT converter does not know an option.",
                expected="an attribute of tf.lite.TFLiteConverter",
                found=name,
                fix="Leave it out.",
                law="S4",
            )
        if name == "target_spec" and isinstance(value, Mapping):
            for part, setting in value.items():
                setattr(converter.target_spec, part, setting)
        else:
            setattr(converter, name, value)


def _convert(converter: tf.lite.TFLiteConverter, name: str) -> bytes:
    try:
        data: bytes = converter.convert()
    except Exception as error:  # the converter has no type of its own for what it refuses
        raise ExportModelError(
            f"Model {name!r} cannot be exported as LiteRT.",
            expected=f"operations that LiteRT has in TensorFlow {tf.__version__}",
            found=str(error).strip().partition("\n")[0],
            fix="Write the module without that operation, or export a SavedModel.",
            law="S4",
        ) from error
    return data
