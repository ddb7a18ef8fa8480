"""ONNX files by way of jax2onnx, checked with ONNX Runtime (S4)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer.backends.tensorflow.forms import NoFormError, first_form
from flaxlayer.call_state import array_specs
from flaxlayer.exports.pooling import with_plain_pooling
from flaxlayer.exports.signatures import input_specs
from flaxlayer_core import ArraySpec, ExportModelError, bindings
from flaxlayer_core.compat import cut_to_needs
from flaxlayer_core.shapes import is_symbolic

__all__ = ["write_onnx"]

# Single precision in another order of sums; what a converter gets wrong is far more.
_CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def write_onnx(
    model: keras.Model, filepath: str, input_signature: Any, opset_version: int | None
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

    described = keras.tree.flatten(input_specs(input_signature))
    specs = array_specs(described)
    names = [spec.name or f"input_{index}" for index, spec in enumerate(described)]

    def run(*arrays: Any) -> list[Any]:
        args = keras.tree.pack_sequence_as(input_signature, list(arrays))
        with keras.StatelessScope():
            outputs = model(*args, training=False)
        return [jnp.asarray(leaf) for leaf in jax.tree_util.tree_leaves(outputs)]

    def convert(form: Sequence[jax.ShapeDtypeStruct], target: str) -> None:
        options = {} if opset_version is None else {"opset": opset_version}
        function = _traced(run, form)
        to_onnx(
            function, form, input_names=names, return_mode="file", output_path=target, **options
        )

    target = Path(filepath).absolute()
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        written = str(Path(folder) / target.name)
        _converted(model.name, specs, lambda form: convert(form, written))
        _compare(model.name, run, specs, written)
        for file in Path(folder).iterdir():  # large weights have a file of their own
            file.replace(target.parent / file.name)


def _traced(
    run: Callable[..., list[Any]], form: Sequence[jax.ShapeDtypeStruct]
) -> Callable[..., Sequence[Any]]:
    cut, used = cut_to_needs(jax.make_jaxpr(run)(*form))
    program = with_plain_pooling(cut)

    def function(*arrays: Any) -> Sequence[Any]:
        needed = [array for array, use in zip(arrays, used, strict=True) if use]
        return program(*needed)

    return function


def _converted(
    name: str, specs: Sequence[ArraySpec], convert: Callable[[Sequence[Any]], None]
) -> None:
    try:
        first_form(specs, convert)
    except NoFormError as error:
        raise _refusal(
            name, f"a module that JAX cannot trace for an unknown size ({error})"
        ) from error
    except Exception as error:  # jax2onnx has no type of its own for what it refuses
        raise _refusal(name, f"{type(error).__name__}: {error}") from error


def _compare(
    name: str, run: Callable[..., list[Any]], specs: Sequence[ArraySpec], written: str
) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it says is in the error
    try:
        arrays = _sample(run, specs)
    except NoFormError as error:
        raise _refusal(name, f"a model that runs for no size that was tried: {error}") from error
    try:
        session = onnxruntime.InferenceSession(written, options)
        fed = {node.name: array for node, array in zip(session.get_inputs(), arrays, strict=True)}
        found = session.run(None, fed)
    except Exception as error:  # ONNX Runtime's errors have no public base
        raise _refusal(name, f"ONNX Runtime: {error}") from error
    for index, (left, right) in enumerate(zip(found, run(*arrays), strict=True)):
        right = np.asarray(right)
        if left.shape != right.shape or not np.allclose(left, right, equal_nan=True, **_CLOSE):
            raise _refusal(name, f"an ONNX file with other values in output {index}")


def _sample(run: Callable[..., list[Any]], specs: Sequence[ArraySpec]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    failure: Exception | None = None
    for binding in bindings(specs):
        if any(is_symbolic(array.shape) for array in binding.arrays):
            continue
        try:
            jax.eval_shape(run, *binding.arrays)
        except Exception as error:  # sizes may not suit a module in any way
            failure = failure or error
        else:
            return [_draw(rng, array) for array in binding.arrays]
    raise NoFormError(str(failure)) from failure


def _draw(rng: np.random.Generator, spec: Any) -> np.ndarray:
    floating = jnp.issubdtype(spec.dtype, jnp.floating)
    drawn = rng.normal(size=spec.shape) if floating else rng.integers(2, size=spec.shape)
    return np.asarray(drawn, spec.dtype)


def _refusal(name: str, found: str) -> ExportModelError:
    return ExportModelError(
        f"Model {name!r} cannot be exported as ONNX.",
        expected="a model that jax2onnx converts faithfully",
        found=found.strip().partition("\n")[0],
        fix="Write the module without that operation, or export another format.",
        law="S4",
    )
