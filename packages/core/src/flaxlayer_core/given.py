"""Variables that the user gives: whole trees or parts, fitted to what the module makes (B4, W2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from flaxlayer_core.errors import MatchVariablesError
from flaxlayer_core.paths import Path, flatten_with_paths, format_path

__all__ = ["fit_variables", "merge_missing", "override_variables"]


def fit_variables(
    expected: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    ignored: frozenset[str] = frozenset(),
    where: str = "variables",
) -> dict[Path, Any]:
    """Finds the place of each given array.

    Args:
        expected: The tree that the module makes: arrays or `ShapeDtypeStruct`.
        given: A tree of arrays, with or without boxes; leaves and collections may be missing.
        ignored: Collections that may be given and are left out: those that are transient.
        where: What to name in an error, such as a layer.

    Returns:
        The given arrays by path, as they are.

    Raises:
        MatchVariablesError: If a path is unknown or a shape differs; all of them are listed.

    Example:

    ```python
    >>> import numpy as np
    >>> expected = {"params": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)}}
    >>> list(fit_variables(expected, {"params": {"bias": np.ones(3)}}))
    [('params', 'bias')]

    ```
    """
    wanted = dict(flatten_with_paths(dict(expected))[0])
    kept = {name: tree for name, tree in given.items() if name not in ignored}
    found = {_known(path, wanted): leaf for path, leaf in flatten_with_paths(kept)[0]}
    problems = [
        f"{format_path(path)}: {problem}"
        for path, leaf in found.items()
        if (problem := _problem(wanted.get(path), leaf))
    ]
    if problems:
        raise MatchVariablesError(
            f"{where} does not take the given variables.",
            expected="; ".join(f"{format_path(p)} {_shape(leaf)}" for p, leaf in wanted.items()),
            found="; ".join(problems),
            fix="Give the tree that `Module.init` returns for this module, or a part of it.",
            law="B4",
        )
    return found


def _known(path: Path, wanted: Mapping[Path, Any]) -> Path:
    # Flax's state dicts write a box as {"value": array}.
    return path[:-1] if path not in wanted and path[-1:] == ("value",) else path


def _problem(wanted: Any, leaf: Any) -> str:
    if wanted is None:
        return "unknown"
    if not hasattr(leaf, "shape"):
        leaf = np.asarray(leaf)
    if isinstance(leaf.dtype, np.dtype) and leaf.dtype.kind in "OSUMm":
        return f"{leaf.dtype}, no numbers"
    return "" if tuple(leaf.shape) == tuple(wanted.shape) else f"shape {_shape(leaf)}"


def _shape(leaf: Any) -> str:
    return str(list(leaf.shape)).replace(" ", "")


def override_variables(tree: Mapping[str, Any], given: Mapping[Path, Any]) -> dict[str, Any]:
    """Replaces leaves of a tree by path.

    Args:
        tree: A tree of variables; its boxes stay.
        given: Leaves by path, as `fit_variables` returns them.

    Returns:
        A new tree of the same structure.

    Example:

    ```python
    >>> override_variables({"params": {"a": 1, "b": 2}}, {("params", "b"): 3})
    {'params': {'a': 1, 'b': 3}}

    ```
    """
    pairs, treedef = flatten_with_paths(dict(tree))
    leaves = [given.get(path, leaf) for path, leaf in pairs]
    overridden: dict[str, Any] = jax.tree_util.tree_unflatten(treedef, leaves)
    return overridden


def merge_missing(variables: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Adds what only `extra` has to a nested tree.

    Args:
        variables: A tree of nested mappings, which wins.
        extra: Another.

    Returns:
        A new tree; leaves are not copied.

    Example:

    ```python
    >>> merge_missing({"params": {"a": 1}}, {"params": {"a": 2, "b": 3}})
    {'params': {'a': 1, 'b': 3}}

    ```
    """
    merged = dict(variables)
    for name, value in extra.items():
        if name not in merged:
            merged[name] = value
        elif isinstance(value, Mapping) and isinstance(merged[name], Mapping):
            merged[name] = merge_missing(merged[name], value)
    return merged
