"""Places of given trees where nothing stands: None and empty containers (B4).

JAX counts neither among the leaves of a tree, so that nothing else sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax

from flaxlayer_core.trees.paths import flatten_with_paths, key_name
from flaxlayer_core.typing import Path, PyTree, Variables

__all__ = ["Vacancies", "find_vacancies", "without_none"]


@dataclass(frozen=True)
class Vacancies:
    """What stands in a given tree and holds no array.

    Attributes:
        emptied: A text for each path where the module has an array.
        unknown: Paths of None where the module has nothing.
    """

    emptied: dict[Path, str] = field(default_factory=dict)
    unknown: list[Path] = field(default_factory=list)


def find_vacancies(expected: Variables, given: Variables) -> Vacancies:
    """Finds where a given tree holds nothing and the module something, or the other way round.

    An empty container where the module has arrays in one is a part of which nothing was given. A
    collection that is None is one that Flax refuses.

    Args:
        expected: The tree that there is: arrays or `ShapeDtypeStruct`.
        given: A tree, or a part of one.

    Returns:
        Both kinds; a variable whose value is None, and None given for it, is neither.

    Example:

    ```python
    >>> expected = {"params": {"kernel": 1.0}, "cache": {"x": None}}
    >>> find_vacancies(expected, {"params": {"kernel": None}, "cache": {"x": None}}).emptied
    {('params', 'kernel'): 'None, no array'}

    ```
    """
    empty = _empty_places(given)
    found = Vacancies()
    if not empty:
        return found
    arrays = {path for path, _ in flatten_with_paths(dict(expected))[0]}
    holders = {path[:length] for path in arrays for length in range(len(path))}
    known = _empty_places(expected)
    for path, value in empty.items():
        array = next((part for part in _beginnings(path) if part in arrays), None)
        if array is not None:
            found.emptied[array] = f"{_describe(value)}, no array"
        elif value is None and (path in holders or len(path) == 1):
            found.emptied[path] = "None, no arrays"
        elif value is None and not any(_on_one_way(path, other) for other in known):
            found.unknown.append(path)
    return found


def without_none(tree: Variables) -> dict[str, PyTree]:
    """Returns a nested tree without the entries that are None.

    Example:

    ```python
    >>> without_none({"cache": {"x": None, "y": 1}, "params": None})
    {'cache': {'y': 1}}

    ```
    """
    return {
        name: without_none(part) if isinstance(part, Mapping) else part
        for name, part in tree.items()
        if part is not None
    }


def _empty_places(tree: Variables) -> dict[Path, object]:
    leaves = jax.tree_util.tree_flatten_with_path(dict(tree), is_leaf=_is_empty)[0]
    return {tuple(map(key_name, keys)): value for keys, value in leaves if _is_empty(value)}


def _is_empty(value: PyTree) -> bool:
    return not jax.tree_util.tree_leaves(value, is_leaf=lambda part: part is not value)


def _beginnings(path: Path) -> list[Path]:
    return [path[:length] for length in range(1, len(path) + 1)]


def _on_one_way(path: Path, other: Path) -> bool:
    length = min(len(path), len(other))
    return path[:length] == other[:length]


def _describe(value: object) -> str:
    return "None" if value is None else f"an empty {type(value).__name__}"
