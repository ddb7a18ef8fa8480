"""Abstract inputs: true dtypes, symbolic where a dimension is unknown (B1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jax import export

from flaxlayer_core.typing import Size

__all__ = [
    "AbstractInputs",
    "ArraySpec",
    "abstract_inputs",
    "drop_symbols",
    "is_symbolic",
    "symbolic_arrays",
]

# Sizes for modules that cannot be traced with symbolic dimensions; many strides divide them.
_FILLS = (32, 64, 128, 224, 16, 8, 4)
_FILL_BATCH = 2


@dataclass(frozen=True)
class ArraySpec:
    """Shape and dtype of one input array.

    Attributes:
        shape: Its dimensions, None where one is unknown.
        dtype: Its true dtype.
        weak: Whether its dtype gives way to others, as that of a number of Python.

    Example:

    ```python
    >>> import numpy as np
    >>> str(ArraySpec((None, 3), np.dtype("int32")))
    'int32[?,3]'

    ```
    """

    shape: tuple[int | None, ...]
    dtype: np.dtype
    weak: bool = False

    def __str__(self) -> str:
        name = getattr(self.dtype, "name", str(self.dtype))
        return f"{name}[{','.join('?' if dim is None else str(dim) for dim in self.shape)}]"

    @property
    def unknown_axes(self) -> tuple[int, ...]:
        """Axes whose size is unknown."""
        return tuple(axis for axis, dim in enumerate(self.shape) if dim is None)

    def accepts(self, shape: Sequence[int | None]) -> bool:
        """Tells whether an array of that shape is one of those described."""
        if len(shape) != len(self.shape):
            return False
        pairs = zip(self.shape, shape, strict=True)
        return all(dim is None or other is None or dim == other for dim, other in pairs)


@dataclass(frozen=True)
class AbstractInputs:
    """One choice of sizes for the unknown dimensions.

    Attributes:
        arrays: The abstract arrays.
        symbols: What each symbol or filled size stands for, for messages.
        resized: Further arrays with one unknown axis resized in each; empty where the sizes are
            symbols, which show by themselves what depends on them.
    """

    arrays: tuple[jax.ShapeDtypeStruct, ...]
    symbols: dict[str, str]
    resized: tuple[tuple[str, tuple[jax.ShapeDtypeStruct, ...]], ...] = ()


def abstract_inputs(specs: Sequence[ArraySpec]) -> Iterator[AbstractInputs]:
    """Yields abstract arrays for inputs, the most general first.

    Unknown dimensions of the same axis are one symbol (so that a token array and its mask agree),
    then all unknown dimensions are one symbol, then they are sizes.

    Args:
        specs: The input arrays.

    Yields:
        Choices to try in turn.

    Example:

    ```python
    >>> import numpy as np
    >>> spec = ArraySpec((None, 3), np.dtype("float32"))
    >>> next(abstract_inputs([spec])).arrays[0].shape
    (batch, 3)

    ```
    """
    axes = sorted({axis for spec in specs for axis in spec.unknown_axes})
    if not axes:
        yield AbstractInputs(tuple(_struct(spec, {}) for spec in specs), {})
        return
    names = {axis: "batch" if axis == 0 else f"dim{axis}" for axis in axes}
    yield _symbolic(specs, names)
    if len(axes) > 1:
        yield _symbolic(specs, dict.fromkeys(axes, "dim"))
    # The size of a batch is the same in all.
    for fill in _FILLS if axes != [0] else _FILLS[:1]:
        yield _filled(specs, axes, fill)


def symbolic_arrays(
    specs: Sequence[ArraySpec], naming: Callable[[int, int], str], minimum: int
) -> list[jax.ShapeDtypeStruct]:
    """Returns abstract arrays with a symbol for each unknown dimension.

    Args:
        specs: The arrays.
        naming: Returns the symbol for the position of an array and one of its axes. Dimensions with
            one symbol are of one size.
        minimum: The least size that JAX may take a symbol for; it takes none for less than 1.

    Returns:
        The arrays.

    Example:

    ```python
    >>> import numpy as np
    >>> spec = ArraySpec((None, 3, None), np.dtype("float32"))
    >>> symbolic_arrays([spec], lambda position, axis: "abc"[axis], 1)[0].shape
    (a, 3, c)

    ```
    """
    places = [(place, axis) for place, spec in enumerate(specs) for axis in spec.unknown_axes]
    names = list(dict.fromkeys(naming(*place) for place in places))
    if not names:
        return [_struct(spec, {}) for spec in specs]
    bounds = [f"{name} >= {minimum}" for name in names] if minimum > 1 else []
    dims = export.symbolic_shape(f"({', '.join(names)},)", constraints=bounds)
    symbols = dict(zip(names, dims, strict=True))
    return [
        _struct(spec, {axis: symbols[naming(place, axis)] for axis in spec.unknown_axes})
        for place, spec in enumerate(specs)
    ]


def _struct(spec: ArraySpec, sizes: Mapping[int, Size]) -> jax.ShapeDtypeStruct:
    shape = tuple(sizes[axis] if dim is None else dim for axis, dim in enumerate(spec.shape))
    return jax.ShapeDtypeStruct(shape, spec.dtype, weak_type=spec.weak)


def _symbolic(specs: Sequence[ArraySpec], names: Mapping[int, str]) -> AbstractInputs:
    # At least 2: a size of 1 would broadcast, and JAX could not tell.
    arrays = symbolic_arrays(specs, lambda position, axis: names[axis], 2)
    symbols: dict[str, str] = {}
    for axis, name in names.items():
        symbols[name] = ", ".join(filter(None, (symbols.get(name), _describe(axis))))
    return AbstractInputs(tuple(arrays), symbols)


def _filled(specs: Sequence[ArraySpec], axes: Sequence[int], fill: int) -> AbstractInputs:
    sizes = {axis: _FILL_BATCH if axis == 0 else fill for axis in axes}
    resized = tuple(
        (_describe(axis), tuple(_struct(spec, {**sizes, axis: sizes[axis] * 2}) for spec in specs))
        for axis in axes
    )
    arrays = tuple(_struct(spec, sizes) for spec in specs)
    return AbstractInputs(arrays, {str(sizes[axis]): _describe(axis) for axis in axes}, resized)


def _describe(axis: int) -> str:
    return "the batch dimension (axis 0)" if axis == 0 else f"the unknown dimension of axis {axis}"


def is_symbolic(shape: Sequence[Size]) -> bool:
    """Tells whether a shape has a symbolic dimension.

    Args:
        shape: Integers and symbolic dimensions.

    Returns:
        True if one of them is symbolic.
    """
    return any(export.is_symbolic_dim(dim) for dim in shape)


def drop_symbols(shape: Sequence[Size]) -> tuple[int | None, ...]:
    """Returns a shape with None for each symbolic dimension.

    Args:
        shape: Integers and symbolic dimensions.

    Returns:
        Integers and None.

    Example:

    ```python
    >>> from jax import export
    >>> drop_symbols(export.symbolic_shape("batch, 3"))
    (None, 3)

    ```
    """
    return tuple(None if export.is_symbolic_dim(dim) else int(dim) for dim in shape)
