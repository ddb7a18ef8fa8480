"""Which dtypes inputs may have where only their shapes are known (A10)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import keras
import numpy as np

from flaxlayer.inputs import BuildInputs
from flaxlayer.typing import Array, DType
from flaxlayer_core import ArraySpec

__all__ = ["build_supposing", "cast_arrays", "first_that_runs", "other_dtypes"]

Result = TypeVar("Result")

# Tokens are what is most often meant, then masks, waves, and the data of random keys.
_DTYPES = ("int32", "bool", "complex64", "uint32")
_TRIES = 16


def other_dtypes(specs: Sequence[ArraySpec]) -> Iterator[list[Array]]:
    """Yields dtypes to try in turn where Keras's default one is only supposed.

    Args:
        specs: The arrays as they were supposed first.

    Yields:
        Dtypes for all arrays. Those that are not of Keras's default dtype stay as they are.

    Example:

    ```python
    >>> from flaxlayer_core import ArraySpec
    >>> specs = [ArraySpec((None, 3), np.dtype("float32"))]
    >>> [str(dtypes[0]) for dtypes in other_dtypes(specs)]
    ['int32', 'bool', 'complex64', 'uint32']

    ```
    """
    floatx = np.dtype(keras.config.floatx())
    open_to_doubt = [spec.dtype == floatx for spec in specs]
    for dtypes in itertools.islice(_choices(floatx, sum(open_to_doubt)), _TRIES):
        chosen = iter(dtypes)
        yield [
            next(chosen) if doubtful else spec.dtype
            for doubtful, spec in zip(open_to_doubt, specs, strict=True)
        ]


def _choices(floatx: Any, count: int) -> Iterator[tuple[Any, ...]]:
    seen = {(floatx,) * count}
    for known in range(1, len(_DTYPES) + 1):
        kinds = [*map(np.dtype, _DTYPES[:known]), floatx]
        for choice in itertools.product(kinds, repeat=count):
            if choice not in seen:
                seen.add(choice)
                yield choice


def first_that_runs(
    specs: Sequence[ArraySpec], run: Callable[[Sequence[Any] | None], Result]
) -> Result:
    """Returns the first result of dtypes that may be meant.

    Args:
        specs: The arrays as they were supposed first.
        run: Takes the dtypes to suppose, None for those of `specs`.

    Returns:
        The result of `run`.

    Raises:
        Exception: What the first attempt raised, where all failed: then it is not the dtypes.
    """
    try:
        return run(None)
    except Exception as error:  # a module may fail in any way on inputs that it does not mean
        for dtypes in other_dtypes(specs):
            try:
                return run(dtypes)
            except Exception:
                continue
        raise error


def build_supposing(inputs: BuildInputs, build: Callable[[BuildInputs], None]) -> None:
    """Builds for the first dtypes that both modes take, else that those modes take that must.

    A mode may seem to be refused because of dtypes, so that those for both come first.

    Args:
        inputs: What to build for; its dtypes are only supposed.
        build: Builds a layer for inputs, or fails and leaves it as it was.

    Raises:
        Exception: What the first attempt for the modes that must be taken raised, where all failed.
    """

    def run(refusable: frozenset[bool]) -> None:
        supposed = replace(inputs, refusable=refusable)
        first_that_runs(supposed.specs, lambda dtypes: build(supposed.with_dtypes(dtypes)))

    try:
        run(frozenset())
    except Exception:  # in any way; it comes again where the modes are not at fault
        if not inputs.refusable:
            raise
        run(inputs.refusable)


def cast_arrays(
    arrays: Sequence[Array], specs: Sequence[ArraySpec], dtypes: Sequence[DType] | None
) -> list[Array]:
    """Returns arrays with other dtypes, where those differ; None leaves all as they are."""
    if dtypes is None:
        return list(arrays)
    return [
        array if spec.dtype == dtype else keras.ops.cast(array, dtype.name)
        for array, spec, dtype in zip(arrays, specs, dtypes, strict=True)
    ]
