"""ONNX files that are kept only if ONNX Runtime computes what the model does (S4)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import keras
import numpy as np

from flaxlayer.exports.endpoint_signatures import input_specs
from flaxlayer.inputs import array_specs
from flaxlayer.typing import BackendArray, InputSignature
from flaxlayer_core import ArraySpec, ExportModelError, evaluate_for_sizes, is_symbolic

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["Inference", "refusal", "write_checked"]

# In bytes; larger weights go into the file beside.
_LARGE = 1_048_576
# Single precision in another order of sums; what a converter gets wrong is far more.
_CLOSE = {"rtol": 1e-3, "atol": 1e-4}


@dataclass(frozen=True)
class Inference:
    """A model as a function of flat arrays that leaves its state alone.

    Attributes:
        model: A built model.
        signature: What describes each positional argument.
        specs: The arrays.
        names: Their names in a file.
    """

    model: keras.Model
    signature: InputSignature
    specs: Sequence[ArraySpec]
    names: Sequence[str]

    @classmethod
    def from_signature(cls, model: keras.Model, signature: InputSignature) -> Inference:
        """Returns it with the names that the signature gives."""
        described = keras.tree.flatten(input_specs(signature))
        names = [spec.name or f"input_{index}" for index, spec in enumerate(described)]
        return cls(model, signature, array_specs(described), names)

    def __call__(
        self,
        *arrays: BackendArray,
        values: Sequence[tuple[keras.Variable, BackendArray]] = (),
    ) -> list[BackendArray]:
        """Returns the arrays of the outputs.

        Args:
            *arrays: One for each of `specs`.
            values: What variables are to be, where not what they are.
        """
        args = keras.tree.pack_sequence_as(self.signature, list(arrays))
        with keras.StatelessScope(state_mapping=values):
            outputs = self.model(*args, training=False)
        return [keras.ops.convert_to_tensor(leaf) for leaf in jax.tree_util.tree_leaves(outputs)]


def write_checked(inference: Inference, filepath: str, convert: Callable[[], ir.Model]) -> None:
    """Writes an ONNX file, and one of large weights beside it, if it computes what the model does.

    Its results are called `output_0` and so on.

    Args:
        inference: The model.
        filepath: The file.
        convert: Makes what is written.

    Raises:
        ExportModelError: If the file computes something else, or the conversion raises one.
    """
    import onnx_ir as ir
    from onnx_ir.passes import common

    target = Path(filepath).absolute()
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        written, weights = Path(folder) / target.name, f"{target.name}.data"
        model = common.OutputFixPass()(convert()).model
        _name(model.graph, inference.names)
        ir.save(model, written, external_data=weights, size_threshold_bytes=_LARGE)
        _compare(inference, str(written))
        for file in Path(folder).iterdir():
            if file.stat().st_size:  # without large weights theirs is empty
                file.replace(target.parent / file.name)


def _name(graph: ir.Graph, inputs: Sequence[str]) -> None:
    for index, value in enumerate(graph.outputs):
        value.name = f"output_{index}"
    for value, name in zip(graph.inputs, inputs, strict=True):
        value.name = name


def refusal(name: str, found: str) -> ExportModelError:
    """Returns the error that a model cannot be exported.

    Args:
        name: The model.
        found: Why, in its first line.
    """
    return ExportModelError(
        f"Model {name!r} cannot be exported as ONNX.",
        expected="a model that can be converted faithfully",
        found=found.strip().partition("\n")[0],
        fix="Write the module without that operation, try another opset_version, or export another "
        "format.",
        law="S4",
    )


def _compare(inference: Inference, written: str) -> None:
    name = inference.model.name
    try:
        fed, outputs = evaluate_for_sizes(
            inference.specs, lambda inputs: _example(inference, inputs.arrays)
        )
    except Exception as error:  # sizes may not suit a module in any way
        raise refusal(name, f"a model that runs for no size that was tried: {error}") from error
    found = _served(name, written, fed)
    if len(found) != len(outputs):  # jax2onnx leaves out what is constant
        raise refusal(name, "an output that no input changes")
    for index, (left, output) in enumerate(zip(found, outputs, strict=True)):
        right = keras.ops.convert_to_numpy(output)
        if left.shape != right.shape or not np.allclose(left, right, equal_nan=True, **_CLOSE):
            raise refusal(name, f"an ONNX file with other values in output {index}")


def _served(name: str, written: str, fed: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it says is in the error
    try:
        session = onnxruntime.InferenceSession(written, options)
        found: Sequence[np.ndarray] = session.run(None, dict(fed))
    except Exception as error:  # ONNX Runtime's errors have no public base
        raise refusal(name, f"ONNX Runtime: {error}") from error
    return found


def _example(
    inference: Inference, sizes: Sequence[jax.ShapeDtypeStruct]
) -> tuple[dict[str, np.ndarray], list[BackendArray]]:
    if any(is_symbolic(array.shape) for array in sizes):
        raise ValueError("an array of an unknown size has no values")
    rng = np.random.default_rng(0)
    arrays = [_draw(rng, array) for array in sizes]
    return dict(zip(inference.names, arrays, strict=True)), inference(*arrays)


def _draw(rng: np.random.Generator, spec: jax.ShapeDtypeStruct) -> np.ndarray:
    floating = jax.numpy.issubdtype(spec.dtype, jax.numpy.floating)
    drawn = rng.normal(size=spec.shape) if floating else rng.integers(2, size=spec.shape)
    return np.asarray(drawn, spec.dtype)
