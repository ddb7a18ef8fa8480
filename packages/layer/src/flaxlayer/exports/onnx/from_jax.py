"""ONNX files of models on the JAX backend, by way of jax2onnx (S4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import keras

from flaxlayer.exports.onnx.comparison import Inference, write_checked
from flaxlayer.exports.onnx.functions import converted
from flaxlayer.typing import FlatCallable, InputSignature

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["write_onnx"]


def write_onnx(
    model: keras.Model, filepath: str, input_signature: InputSignature, opset_version: int | None
) -> None:
    """Writes a model as an ONNX file, and compares what it computes.

    The model is traced by JAX alone, and changes of state are left out. Then jax2onnx converts what
    was traced.

    Args:
        model: A built model.
        filepath: The file.
        input_signature: What describes each positional argument.
        opset_version: The version of ONNX's operations; None for jax2onnx's choice.

    Raises:
        ExportModelError: If it cannot be traced, an operation cannot be converted, or what was
            converted computes something else.
    """
    from jax2onnx import to_onnx

    inference = Inference.from_signature(model, input_signature)
    options: dict[str, int] = {} if opset_version is None else {"opset": opset_version}

    def convert(function: FlatCallable, form: Sequence[jax.ShapeDtypeStruct]) -> ir.Model:
        names = list(inference.names)
        return to_onnx(function, form, input_names=names, return_mode="ir", **options)

    write_checked(
        inference, filepath, lambda: converted(model.name, inference, inference.specs, convert)
    )
