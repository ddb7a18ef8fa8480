"""Functions of JAX as ONNX, by way of jax2onnx (S4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax

from flaxlayer.backends.tensorflow.forms import first_form
from flaxlayer.compat.onnx_converters import keeping_numpy_of_jax
from flaxlayer.exports.onnx.comparison import refusal
from flaxlayer.exports.pooling import with_plain_pooling
from flaxlayer.typing import Array, FlatCallable
from flaxlayer_core import ArraySpec, NoSizeFitsError, dce

__all__ = ["converted"]

T = TypeVar("T")


def converted(
    name: str,
    function: FlatCallable,
    specs: Sequence[ArraySpec],
    convert: Callable[[FlatCallable, Sequence[jax.ShapeDtypeStruct]], T],
) -> T:
    """Returns what jax2onnx makes of a function that JAX traced, with pooling that ONNX has.

    Args:
        name: The model, for errors.
        function: Takes and returns flat arrays.
        specs: Its arrays, None for an unknown dimension.
        convert: Calls jax2onnx with a function and abstract arrays.

    Raises:
        ExportModelError: If the function cannot be traced, or an operation not be converted.
    """
    try:
        with keeping_numpy_of_jax():
            return first_form(specs, lambda form: convert(_traced(function, form), form))
    except NoSizeFitsError as error:
        found = f"a module that JAX cannot trace for an unknown size ({error})"
        raise refusal(name, found) from error
    except Exception as error:  # jax2onnx has no type of its own for what it refuses
        raise refusal(name, f"{type(error).__name__}: {error}") from error


def _traced(run: FlatCallable, form: Sequence[jax.ShapeDtypeStruct]) -> FlatCallable:
    cut, used = dce(jax.make_jaxpr(run)(*form))
    program = with_plain_pooling(cut)

    def function(*arrays: Array) -> Sequence[Array]:
        needed = [array for array, use in zip(arrays, used, strict=True) if use]
        return program(*needed)

    return function
