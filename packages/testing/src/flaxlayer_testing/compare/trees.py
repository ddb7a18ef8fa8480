"""Compares two trees: structure, then shapes, then dtypes, then values (T4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import jax
import numpy as np
from jax.tree_util import tree_flatten_with_path, tree_structure

from flaxlayer_testing.compare.tolerances import Tolerance, tolerance_for
from flaxlayer_testing.errors import ParityError

__all__ = ["compare_trees"]

Array = np.ndarray[Any, Any]


def compare_trees(
    expected: Any,
    actual: Any,
    *,
    bitwise: bool = False,
    path: str = "",
    tolerances: Mapping[str, Tolerance] | None = None,
) -> dict[str, float]:
    """Compares two pytrees, whole, in this order: structure, shapes, dtypes, values.

    Args:
        expected: What raw Flax gives.
        actual: What the layer under test gives.
        bitwise: Whether every bit must agree. Then a NaN agrees with a NaN of the same bits, and
            -0.0 differs from 0.0. Else the published table applies, NaN agrees with NaN, and an
            infinity with itself.
        path: Where the trees stand, for messages.
        tolerances: Overrides of the table by the name of a dtype; not for a bitwise comparison.

    Returns:
        The largest observed absolute error for each dtype in the trees.

    Raises:
        ParityError: If they differ; it names the first differing path.

    Example:

    ```python
    >>> import numpy as np
    >>> compare_trees({"a": np.float32([1, 2])}, {"a": np.float32([1, 2])})
    {'float32': 0.0}
    >>> compare_trees({"a": np.ones(2)}, {"a": np.ones(3)})
    Traceback (most recent call last):
    flaxlayer_testing.errors.ParityError: a differs in shape.
    Expected: float64[2]
    Found: float64[3]
    Law: T4

    ```
    """
    _compare_structure(expected, actual, path)
    leaves = list(_paired_leaves(expected, actual, path))
    for differs, kind in ((_shape, "shape"), (_dtype, "dtype")):
        _compare_types(leaves, differs, kind)
    errors: dict[str, float] = {}
    for where, left, right in leaves:
        error = _compare_values(where, left, right, bitwise, tolerances or {})
        errors[left.dtype.name] = max(error, errors.get(left.dtype.name, 0.0))
    return errors


def _children(tree: Any) -> list[tuple[str, Any]] | None:
    # One level: a leaf flattens to itself.
    pairs, _ = tree_flatten_with_path(tree, is_leaf=lambda value: value is not tree)
    if len(pairs) == 1 and not pairs[0][0]:
        return None
    return [(_entry_name(keys[0]), value) for keys, value in pairs]


def _entry_name(entry: Any) -> str:
    names = (getattr(entry, field, None) for field in ("key", "idx", "name"))
    return str(next((name for name in names if name is not None), entry))


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _node(tree: Any, children: list[tuple[str, Any]] | None) -> str:
    if tree is None:
        return "None"
    if children is None:
        return "an array" if hasattr(tree, "shape") else f"a leaf of type {type(tree).__name__}"
    names = ", ".join(name for name, _ in children)
    return f"{type(tree).__name__} with entries [{names}]"


def _compare_structure(expected: Any, actual: Any, path: str) -> None:
    structures: tuple[Any, Any] = tree_structure(expected), tree_structure(actual)
    if structures[0] == structures[1]:
        return
    left, right = _children(expected), _children(actual)
    if _same_node(expected, actual, left, right):
        assert left is not None and right is not None
        for (name, a), (_, b) in zip(left, right, strict=True):
            _compare_structure(a, b, _join(path, name))
    _fail("structure", path, _node(expected, left), _node(actual, right))


def _same_node(
    expected: Any,
    actual: Any,
    left: list[tuple[str, Any]] | None,
    right: list[tuple[str, Any]] | None,
) -> bool:
    if left is None or right is None or type(expected) is not type(actual):
        return False
    return bool(left) and [name for name, _ in left] == [name for name, _ in right]


def _fail(kind: str, path: str, expected: str, found: str, *, by_table: bool = False) -> NoReturn:
    failed = f"{path or 'The tree'} differs in {kind}."
    raise ParityError(
        failed, kind=kind, path=path, expected=expected, found=found, by_table=by_table
    )


def _paired_leaves(expected: Any, actual: Any, path: str) -> Iterator[tuple[str, Array, Array]]:
    pairs, _ = tree_flatten_with_path(expected)
    for (keys, left), right in zip(pairs, jax.tree_util.tree_leaves(actual), strict=True):
        where = path
        for key in keys:
            where = _join(where, _entry_name(key))
        yield where, _as_array(left), _as_array(right)


def _as_array(leaf: Any) -> Array:
    dtype = getattr(leaf, "dtype", None)
    if dtype is not None and jax.numpy.issubdtype(dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    elif isinstance(leaf, bool | int | float | complex):
        # As JAX would take it: a layer's compiled function returns arrays.
        return np.asarray(leaf, jax.dtypes.result_type(leaf))
    return np.asarray(leaf)


def _shape(array: Array) -> object:
    return array.shape


def _dtype(array: Array) -> object:
    return array.dtype


def _text(array: Array) -> str:
    return f"{array.dtype.name}[{','.join(map(str, array.shape))}]"


def _compare_types(
    leaves: list[tuple[str, Array, Array]], of: Callable[[Array], object], kind: str
) -> None:
    for where, left, right in leaves:
        if of(left) != of(right):
            _fail(kind, where, _text(left), _text(right))


def _bits(array: Array) -> Array:
    size = array.dtype.itemsize
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, size)


def _absolute_errors(left: Array, right: Array) -> Array:
    same = (left == right) | ((left != left) & (right != right))
    if left.dtype.kind in "OSU":
        return np.where(same, 0.0, np.inf).reshape(-1)
    wide = np.complex128 if left.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(right.astype(wide) - left.astype(wide))
    # Large integers that differ may agree as float64; an error of theirs is never zero.
    known = np.where(np.isnan(errors), np.inf, np.maximum(errors, np.finfo(np.float64).tiny))
    return np.where(same, 0.0, known).reshape(-1)


def _compare_values(
    where: str, left: Array, right: Array, bitwise: bool, tolerances: Mapping[str, Tolerance]
) -> float:
    if left.size == 0:
        return 0.0
    errors = _absolute_errors(left, right)
    if bitwise and left.dtype.kind != "O":  # of a function, say, there are no bits
        wrong = (_bits(left) != _bits(right)).any(axis=1)
    else:
        wrong = ~_within(left, errors, tolerances)
    if wrong.any():
        _fail_values(where, left, right, errors, wrong, by_table=not bitwise)
    return float(errors.max())


def _within(left: Array, errors: Array, tolerances: Mapping[str, Tolerance]) -> Array:
    if left.dtype.kind in "OSU":
        return np.equal(errors, 0.0)
    tolerance = tolerances.get(left.dtype.name) or tolerance_for(left.dtype)
    sizes = np.abs(left.reshape(-1).astype(np.complex128))
    finite = np.where(np.isfinite(sizes), sizes, 0.0)
    within: Array = errors <= tolerance.atol + tolerance.rtol * finite
    return within


def _fail_values(
    where: str, left: Array, right: Array, errors: Array, wrong: Array, *, by_table: bool
) -> NoReturn:
    first = int(np.argmax(wrong))
    index = tuple(int(i) for i in np.unravel_index(first, left.shape))
    at = f" at index {index}" if index else ""
    count = f"{int(wrong.sum())} of {left.size} elements differ, by up to {errors.max():.3g}"
    found = f"{right.reshape(-1)[first]!r}; {count}"
    expected = f"{left.reshape(-1)[first]!r}{at} ({_text(left)})"
    _fail("value", where, expected, found, by_table=by_table)
