"""The forms of a call's arrays: sizes that are known, symbols for those that are not (K2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import jax
from jax import export

from flaxlayer_core import ArraySpec, NoSizeFitsError, first_that_fits, symbolic_arrays

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
    places = [(place, axis) for place, spec in enumerate(specs) for axis in spec.unknown_axes]
    seen = set()
    for minimum in _MINIMA if places else (1,):
        for naming in _NAMINGS:
            names = [naming(*place) for place in places]
            key = (minimum, tuple(map(names.index, names)))
            if key not in seen:
                seen.add(key)
                yield symbolic_arrays(specs, naming, minimum)


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
