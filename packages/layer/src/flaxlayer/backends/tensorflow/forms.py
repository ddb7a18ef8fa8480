"""The forms of a call's arrays: sizes that are known, symbols for those that are not (K2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax
from jax import export

from flaxlayer_core import ArraySpec, NoSizeFitsError, first_that_fits

__all__ = ["first_form", "symbolic_forms", "tied_axes"]

Traced = TypeVar("Traced")

# How unknown dimensions may belong together, from what assumes least of inputs.
_NAMINGS: tuple[Callable[[int, int], str], ...] = (
    lambda position, axis: f"dim{position}_{axis}" if axis else "batch",
    lambda position, axis: f"dim{axis}" if axis else "batch",
    lambda position, axis: f"dim{position}_{axis}",
    lambda position, axis: "dim",
)
# A size of 1 is what JAX assumes no dimension to be less than.
_MINIMA = (1, 2)


def symbolic_forms(specs: Sequence[ArraySpec]) -> Iterator[list[jax.ShapeDtypeStruct]]:
    """Yields abstract arrays with a symbol for each unknown dimension, the most general first.

    The first are those in which only the batch dimensions agree; a module that adds two sequences
    needs more to agree, and one may need to know that a dimension is more than 1.

    Args:
        specs: Shapes and dtypes, None for an unknown dimension.

    Yields:
        Choices to try in turn.

    Example:

    ```python
    >>> import numpy as np
    >>> specs = [ArraySpec((None, None), np.dtype("float32")), ArraySpec((3,), np.dtype("int32"))]
    >>> [array.shape for array in next(symbolic_forms(specs))]
    [(batch, dim0_1), (3,)]

    ```
    """
    if not any(spec.unknown_axes for spec in specs):
        yield [_struct(spec, spec.shape) for spec in specs]
        return
    seen = set()
    for minimum in _MINIMA:
        for naming in _NAMINGS:
            names = [_names(spec, position, naming) for position, spec in enumerate(specs)]
            key = (minimum, tuple(map(_canonical(), names)))
            if key not in seen:
                seen.add(key)
                yield _form(specs, names, minimum)


def tied_axes(form: Sequence[jax.ShapeDtypeStruct]) -> list[list[tuple[int, int]]]:
    """Returns the unknown dimensions that a form takes for equal, those of batches left out.

    Args:
        form: Abstract arrays.

    Returns:
        For each such size the positions of the arrays and their axes.

    Example:

    ```python
    >>> import numpy as np
    >>> specs = [ArraySpec((None, None), np.dtype("float32"))] * 2
    >>> [tied_axes(form) for form in symbolic_forms(specs)][1]
    [[(0, 1), (1, 1)]]

    ```
    """
    places: dict[str, list[tuple[int, int]]] = {}
    for position, array in enumerate(form):
        for axis, size in enumerate(array.shape):
            if export.is_symbolic_dim(size) and str(size) != "batch":
                places.setdefault(str(size), []).append((position, axis))
    return [tied for tied in places.values() if len(tied) > 1]


def first_form(
    specs: Sequence[ArraySpec], trace: Callable[[Sequence[jax.ShapeDtypeStruct]], Traced]
) -> Traced:
    """Returns what a trace gives for the most general form that it does not fail on.

    Args:
        specs: Shapes and dtypes, None for an unknown dimension.
        trace: Gets abstract arrays, and fails in any way on forms that do not suit.

    Raises:
        FlaxLayerError: If the trace raises one.
        NoSizeFitsError: If none of the forms of unknown dimensions suits. A failure for known sizes
            is raised as it is.
    """
    try:
        return first_that_fits(symbolic_forms(specs), trace)
    except NoSizeFitsError as error:
        if any(spec.unknown_axes for spec in specs):
            raise
        failure = error.first
    raise failure


def _names(spec: ArraySpec, position: int, naming: Callable[[int, int], str]) -> tuple[str, ...]:
    return tuple(naming(position, axis) for axis in spec.unknown_axes)


def _canonical() -> Callable[[tuple[str, ...]], tuple[int, ...]]:
    numbers: dict[str, int] = {}
    return lambda names: tuple(numbers.setdefault(name, len(numbers)) for name in names)


def _form(
    specs: Sequence[ArraySpec], names: Sequence[tuple[str, ...]], minimum: int
) -> list[jax.ShapeDtypeStruct]:
    unique = list(dict.fromkeys(name for each in names for name in each))
    bounds = [f"{name} >= {minimum}" for name in unique] if minimum > 1 else []
    dims = export.symbolic_shape(f"({', '.join(unique)},)", constraints=bounds)
    symbols = dict(zip(unique, dims, strict=True))
    form = []
    for spec, own in zip(specs, names, strict=True):
        shape: list[Any] = list(spec.shape)
        for axis, name in zip(spec.unknown_axes, own, strict=True):
            shape[axis] = symbols[name]
        form.append(_struct(spec, shape))
    return form


def _struct(spec: ArraySpec, shape: Sequence[Any]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(tuple(shape), spec.dtype, weak_type=spec.weak)
