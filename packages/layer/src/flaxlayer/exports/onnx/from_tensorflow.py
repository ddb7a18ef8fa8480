"""ONNX files of models on the TensorFlow backend, by way of tf2onnx and jax2onnx (S4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from flaxlayer.backends.tensorflow.forms import symbolic_forms
from flaxlayer.backends.tensorflow.recording import KeptProgram, recording
from flaxlayer.compat.onnx_converters import without_warnings_of
from flaxlayer.exports.onnx.comparison import Inference, refusal, write_checked
from flaxlayer.exports.onnx.functions import converted
from flaxlayer.exports.onnx.grafting import DOMAIN, Call, calls, graft
from flaxlayer.typing import Array, Dimension, InputSignature

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

__all__ = ["write_onnx"]

# The newest version of ONNX's operations that tf2onnx 1.17 writes.
_OPSET = 18


def write_onnx(
    model: keras.Model, filepath: str, input_signature: InputSignature, opset_version: int | None
) -> None:
    """Writes a model as an ONNX file, and compares what it computes.

    TensorFlow traces the model, and leaves its state alone. Then tf2onnx converts the graph, and
    jax2onnx each `FlaxLayer` in it.

    Args:
        model: A built model.
        filepath: The file.
        input_signature: What describes each positional argument.
        opset_version: The version of ONNX's operations; None for 18.

    Raises:
        ExportModelError: If an operation cannot be converted, or what was converted computes
            something else.
    """
    inference = Inference.from_signature(model, input_signature)
    specs, opset = inference.specs, _OPSET if opset_version is None else opset_version

    def convert() -> ir.Model:
        host, programs = _host(inference, opset)
        parts = [(call, _part(model.name, call, programs, opset)) for call in calls(host)]
        shapes = [tuple(map(_dimension, array.shape)) for array in next(symbolic_forms(specs))]
        return graft(host, parts, shapes)

    write_checked(inference, filepath, convert)


def _host(inference: Inference, opset: int) -> tuple[onnx.ModelProto, Mapping[str, KeptProgram]]:
    """Converts all but the programs of JAX, which stay as calls."""
    from tf2onnx.convert import from_function

    # Constants: then a program of JAX has its weights in it, as on the JAX backend.
    values = [(v, keras.ops.convert_to_numpy(v)) for v in inference.model.variables]

    def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
        constants = [(variable, tf.constant(value)) for variable, value in values]
        return list(inference(*tensors, values=constants))

    signature = [
        tf.TensorSpec(spec.shape, spec.dtype, name=f"input_{index}")
        for index, spec in enumerate(inference.specs)
    ]
    function = tf.function(run, input_signature=signature, autograph=False)
    try:
        with recording() as record, without_warnings_of("PyFunc"):
            host, _ = from_function(function, signature, opset=opset, custom_ops={"PyFunc": DOMAIN})
    except Exception as error:  # TensorFlow and tf2onnx raise what they like
        raise refusal(inference.model.name, f"{type(error).__name__}: {error}") from error
    return host, record.programs


def _part(
    name: str, call: Call, programs: Mapping[str, KeptProgram], opset: int
) -> onnx.ModelProto:
    from jax2onnx import to_onnx

    if call.name not in programs:
        raise refusal(name, f"{call.node.name}, a call of a function of Python")
    program = programs[call.name]

    def run(*arrays: Array) -> list[Array]:
        outputs = program.function(*arrays)
        return [outputs[index] for index in call.used]

    part: onnx.ModelProto = converted(
        name,
        run,
        program.inputs,
        lambda function, form: to_onnx(function, form, opset=opset),
    )
    if len(part.graph.output) != len(call.used):
        raise refusal(name, f"{program.title} has a result that no input changes")
    return part


def _dimension(size: Dimension) -> int | str:
    return size if isinstance(size, int) else str(size)
