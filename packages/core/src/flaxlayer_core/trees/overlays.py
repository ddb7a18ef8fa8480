"""One tree laid over another: leaves replaced, gaps filled, the rest found."""

from __future__ import annotations

from collections.abc import Mapping

import jax

from flaxlayer_core.trees.paths import flatten_with_paths
from flaxlayer_core.typing import Array, Path, PyTree, Variables

__all__ = ["fill_missing", "replace_leaves", "subtract_tree"]


def replace_leaves(tree: Variables, leaves: Mapping[Path, Array]) -> dict[str, PyTree]:
    """Replaces leaves of a tree by path.

    Args:
        tree: A tree of variables; its boxes stay.
        leaves: Leaves by path, as `match_variables` returns them.

    Returns:
        A new tree of the same structure.

    Example:

    ```python
    >>> replace_leaves({"params": {"a": 1, "b": 2}}, {("params", "b"): 3})
    {'params': {'a': 1, 'b': 3}}

    ```
    """
    pairs, treedef = flatten_with_paths(dict(tree))
    replaced = [leaves.get(path, leaf) for path, leaf in pairs]
    overridden: dict[str, PyTree] = jax.tree_util.tree_unflatten(treedef, replaced)
    return overridden


def fill_missing(variables: Variables, extra: Variables) -> dict[str, PyTree]:
    """Adds what only `extra` has to a nested tree.

    Args:
        variables: A tree of nested mappings, which wins.
        extra: Another.

    Returns:
        A new tree; leaves are not copied.

    Example:

    ```python
    >>> fill_missing({"params": {"a": 1}}, {"params": {"a": 2, "b": 3}})
    {'params': {'a': 1, 'b': 3}}

    ```
    """
    merged = dict(variables)
    for name, value in extra.items():
        if name not in merged:
            merged[name] = value
        elif isinstance(value, Mapping) and isinstance(merged[name], Mapping):
            merged[name] = fill_missing(merged[name], value)
    return merged


def subtract_tree(tree: Variables, known: Variables) -> dict[str, PyTree]:
    """Returns what a nested tree has and another has not.

    Args:
        tree: A tree of nested mappings.
        known: Another.

    Returns:
        The part of the tree whose leaves do not stand in `known`, without empty branches.

    Example:

    ```python
    >>> subtract_tree({"cache": {"key": 1, "index": 2}}, {"cache": {"index": 3}})
    {'cache': {'key': 1}}

    ```
    """
    rest: dict[str, PyTree] = {}
    for name, value in tree.items():
        if name not in known:
            rest[name] = value
        elif isinstance(value, Mapping) and isinstance(known[name], Mapping):
            part = subtract_tree(value, known[name])
            rest |= {name: part} if part else {}
    return rest
