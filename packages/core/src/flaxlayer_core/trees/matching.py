"""Variables that the user gives: whole trees or parts, fitted to what the module makes (B4, W2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import jax
import numpy as np

from flaxlayer_core.errors import MatchVariablesError
from flaxlayer_core.message_lists import list_some
from flaxlayer_core.trees.array_types import holds_numbers
from flaxlayer_core.trees.paths import flatten_with_paths, format_path
from flaxlayer_core.trees.vacancies import find_vacancies
from flaxlayer_core.typing import Array, Leaf, Path, PyTree, Shaped, Variables

__all__ = [
    "UNKNOWN",
    "as_arrays",
    "describe_variable",
    "find_misfits",
    "match_given",
    "match_variables",
    "refuse_given",
]

_LISTED, _LONGEST = 20, 300
UNKNOWN = "unknown"
"""What messages say of a variable that the module does not have."""


def as_arrays(given: Variables, *, title: str = "variables") -> dict[str, PyTree]:
    """Returns a tree of given variables whose leaves have a shape and a dtype.

    Args:
        given: A tree of arrays, numbers or `ShapeDtypeStruct`, with or without boxes.
        title: What to name in an error, such as a layer.

    Returns:
        The same tree; arrays of JAX and NumPy are those that were given.

    Raises:
        MatchVariablesError: If a leaf holds no numbers; all of them are listed.

    Example:

    ```python
    >>> as_arrays({"cache": {"index": 3}})
    {'cache': {'index': array(3, dtype=int32)}}

    ```
    """
    pairs, treedef = flatten_with_paths(dict(given))
    leaves = [_as_array(leaf) for _, leaf in pairs]
    problems = [
        f"{format_path(path)}: {problem}"
        for (path, _), leaf in zip(pairs, leaves, strict=True)
        if (problem := _no_numbers(leaf))
    ]
    if problems:
        raise refuse_given(title, expected=["arrays of numbers"], found=problems)
    tree: dict[str, PyTree] = jax.tree_util.tree_unflatten(treedef, leaves)
    return tree


def _as_array(leaf: Leaf) -> Shaped:
    if isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct):
        return leaf
    if isinstance(leaf, bool | int | float | complex):  # of the dtype that JAX gives it
        return np.asarray(leaf, jax.dtypes.result_type(type(leaf)))
    return np.asarray(leaf)


def _no_numbers(leaf: Shaped) -> str:
    known = isinstance(leaf.dtype, np.dtype)
    return f"{leaf.dtype}, no numbers" if known and not holds_numbers(leaf.dtype) else ""


def match_variables(
    expected: Mapping[str, object],
    given: Variables,
    *,
    ignored: frozenset[str] = frozenset(),
    title: str = "variables",
) -> dict[Path, Array]:
    """Finds the place of each given array in a tree whose shapes stand.

    Args:
        expected: The tree that there is: arrays or `ShapeDtypeStruct`.
        given: A tree of arrays, with or without boxes; leaves and collections may be missing.
        ignored: Collections that may be given and are left out: those that are transient.
        title: What to name in an error, such as a layer.

    Returns:
        The given arrays by path, as they are.

    Raises:
        MatchVariablesError: If a path is unknown, a shape differs, or None or an empty container
            stands where an array is; all of them are listed.

    Example:

    ```python
    >>> import numpy as np
    >>> expected = {"params": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)}}
    >>> list(match_variables(expected, {"params": {"bias": np.ones(3)}}))
    [('params', 'bias')]

    ```
    """
    wanted = dict(flatten_with_paths(dict(expected))[0])
    kept = {name: tree for name, tree in given.items() if name not in ignored}
    found = _placed(kept, wanted)
    misfits = {path: _problem(wanted.get(path), leaf) for path, leaf in found.items()}
    vacancies = find_vacancies(expected, kept)
    problems = {**misfits, **vacancies.emptied, **dict.fromkeys(vacancies.unknown, UNKNOWN)}
    if any(problems.values()):
        raise refuse_given(
            title,
            expected=[describe_variable(path, leaf) for path, leaf in wanted.items()],
            found=[f"{format_path(path)}: {text}" for path, text in problems.items() if text],
        )
    return found


def match_given(made: Variables, given: Variables) -> tuple[dict[Path, Array], list[Path]]:
    """Finds the place of each given array among those that the module makes.

    Args:
        made: The tree that init makes: arrays or `ShapeDtypeStruct`.
        given: A tree as `as_arrays` returns it.

    Returns:
        The given arrays by the path that the module has for them, of whatever shape; and the paths
        of those that have no place.

    Example:

    ```python
    >>> made = {"params": {"kernel": np.zeros((2, 3))}}
    >>> match_given(made, {"params": {"kernel": np.ones((2, 3)), "b": np.ones(3)}})[1]
    [('params', 'b')]

    ```
    """
    wanted = dict(flatten_with_paths(dict(made))[0])
    found = _placed(given, wanted)
    known = {path: leaf for path, leaf in found.items() if path in wanted}
    return known, [path for path in found if path not in wanted]


def find_misfits(made: Variables, fitted: Mapping[Path, Shaped]) -> dict[Path, str]:
    """Tells in what given arrays differ from those that the module makes.

    Args:
        made: The tree that init makes.
        fitted: Given arrays by path.

    Returns:
        A text for each path where shapes or kinds of dtypes differ.

    Example:

    ```python
    >>> find_misfits({"params": {"a": np.zeros(3)}}, {("params", "a"): np.zeros(2)})
    {('params', 'a'): 'shape [2]'}

    ```
    """
    wanted = dict(flatten_with_paths(dict(made))[0])
    problems = {path: _problem(wanted[path], leaf) for path, leaf in fitted.items()}
    if not any(problems.values()):
        problems = {path: _kind_problem(wanted[path], leaf) for path, leaf in fitted.items()}
    return {path: problem for path, problem in problems.items() if problem}


def refuse_given(
    title: str,
    *,
    expected: Iterable[str],
    found: Iterable[str],
    missing: Iterable[str] = (),
    fix: str = "Give the tree that `Module.init` returns for this module, or a part of it.",
) -> MatchVariablesError:
    """Returns the error for given variables that do not fit.

    Args:
        title: What to name, such as a layer.
        expected: What may stand there.
        found: What is wrong with each.
        missing: What was not given, and would be initialised.
        fix: What the reader can do.

    Returns:
        The error, to be raised.
    """
    list_parts = partial(list_some, most=_LISTED, longest=_LONGEST)
    absent = list_parts(missing, ", ")
    return MatchVariablesError(
        f"{title} does not take the given variables.",
        expected=list_parts([*expected, *([f"missing: {absent}"] if absent else [])], "; "),
        found=list_parts(found, "; "),
        fix=fix,
        law="B4",
    )


def _placed(given: Variables, wanted: Mapping[Path, Shaped]) -> dict[Path, Array]:
    return {_known(path, wanted): leaf for path, leaf in flatten_with_paths(dict(given))[0]}


def _known(path: Path, wanted: Mapping[Path, Shaped]) -> Path:
    # Flax's state dicts write a box as {"value": array}.
    return path[:-1] if path not in wanted and path[-1:] == ("value",) else path


def _problem(wanted: PyTree, leaf: Leaf) -> str:
    if wanted is None:
        return UNKNOWN
    if not hasattr(leaf, "shape"):
        leaf = np.asarray(leaf)
    if problem := _no_numbers(leaf):
        return problem
    return "" if tuple(leaf.shape) == tuple(wanted.shape) else f"shape {_shape(leaf)}"


def _kind_problem(wanted: PyTree, leaf: Shaped) -> str:
    kinds = (np.inexact, np.integer, np.bool_, jax.dtypes.prng_key)
    same = all(
        jax.numpy.issubdtype(wanted.dtype, kind) == jax.numpy.issubdtype(leaf.dtype, kind)
        for kind in kinds
    )
    return "" if same else f"dtype {leaf.dtype}, not {wanted.dtype}"


def _shape(leaf: Shaped) -> str:
    return str(list(leaf.shape)).replace(" ", "")


def describe_variable(path: Path, leaf: Shaped) -> str:
    """Returns a variable as messages have it: its path and its shape."""
    return f"{format_path(path)} {_shape(leaf)}"
