"""Functions of JAX as ONNX, by way of jax2onnx (S4)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from flaxlayer.backends.tensorflow.forms import first_form
from flaxlayer.exports.onnx.comparison import refusal
from flaxlayer.exports.pooling import with_plain_pooling
from flaxlayer_core import ArraySpec, NoSizeFitsError, dce

__all__ = ["converted"]

T = TypeVar("T")


def converted(
    name: str,
    function: Callable[..., Sequence[Any]],
    specs: Sequence[ArraySpec],
    convert: Callable[[Callable[..., Sequence[Any]], Sequence[Any]], T],
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
        with _numpy_of_jax():
            return first_form(specs, lambda form: convert(_traced(function, form), form))
    except NoSizeFitsError as error:
        found = f"a module that JAX cannot trace for an unknown size ({error})"
        raise refusal(name, found) from error
    except Exception as error:  # jax2onnx has no type of its own for what it refuses
        raise refusal(name, f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _numpy_of_jax() -> Iterator[None]:
    """Puts back what jax2onnx 0.17.1 leaves in `jax.numpy`: a `cumsum` that takes less."""
    before = dict(vars(jnp))
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(jnp, name, value)


def _traced(
    run: Callable[..., Sequence[Any]], form: Sequence[jax.ShapeDtypeStruct]
) -> Callable[..., Sequence[Any]]:
    cut, used = dce(jax.make_jaxpr(run)(*form))
    program = with_plain_pooling(cut)

    def function(*arrays: Any) -> Sequence[Any]:
        needed = [array for array, use in zip(arrays, used, strict=True) if use]
        return program(*needed)

    return function
