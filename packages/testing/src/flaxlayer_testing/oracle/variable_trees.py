"""Trees of variables and outputs: their structure, their parts, what one adds to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from flaxlayer_testing.oracle.call import Variables, arrays_of

__all__ = ["arrays_only", "common_part", "merge_missing", "paths_of", "structure_of"]


def structure_of(tree: Any) -> Any:
    """Returns the structure, shapes and dtypes of a tree, to compare."""
    leaves, treedef = jax.tree_util.tree_flatten(tree)
    return treedef, [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]


def arrays_only(result: tuple[Any, Any]) -> tuple[Any, Any]:
    """Returns the result of an apply with a flat list of the arrays among its outputs."""
    outputs, updates = result
    return arrays_of(outputs), updates


def common_part(tree: Any, known: Any) -> Any:
    """Returns the part of a tree of variables whose names another has, too."""
    if not isinstance(tree, Mapping) or not isinstance(known, Mapping):
        return tree
    return {name: common_part(tree[name], known[name]) for name in tree if name in known}


def paths_of(tree: Any) -> list[tuple[str, ...]]:
    """Returns the paths of the leaves of a tree of variables, without the entries of boxes."""
    pairs, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [_names(keys) for keys, _ in pairs]


def _names(keys: Any) -> tuple[str, ...]:
    entries = (getattr(key, "key", getattr(key, "idx", None)) for key in keys)
    return tuple(str(entry) for entry in entries if entry is not None)


def merge_missing(variables: Variables, extra: Variables) -> dict[str, Any]:
    """Returns variables with those of another tree that they lack."""
    merged = dict(variables)
    for name, value in extra.items():
        if name not in merged:
            merged[name] = value
        elif isinstance(value, Mapping) and isinstance(merged[name], Mapping):
            merged[name] = merge_missing(merged[name], value)
    return merged
