"""Trees of variables and outputs: their structure, their parts, what one adds to another."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_testing.oracle.call import Variables, arrays_of

__all__ = [
    "arrays_only",
    "cast_floats",
    "cast_params",
    "common_part",
    "entry_names",
    "merge_missing",
    "paths_of",
    "random_like",
    "structure_of",
]


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
    return [entry_names(keys) for keys, _ in pairs]


def entry_names(keys: Sequence[Any]) -> tuple[str, ...]:
    """Returns the names on the path to a leaf, as JAX gives it, without the entries of boxes."""
    entries = (getattr(key, "key", getattr(key, "idx", None)) for key in keys)
    return tuple(str(entry) for entry in entries if entry is not None)


def cast_floats(tree: Any, dtype: str | None) -> Any:
    """Returns a tree with its floating leaves in a dtype; complex and other leaves stay (A7).

    Args:
        tree: Arrays, abstract ones, and leaves of any kind.
        dtype: The dtype; None for no cast.
    """
    if dtype is None:
        return tree

    def cast(leaf: Any) -> Any:
        if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(leaf.shape, dtype)
        return jnp.asarray(leaf, dtype)

    return jax.tree_util.tree_map(cast, tree)


def cast_params(
    variables: Variables, trainable: Collection[str], dtype: str | None
) -> dict[str, Any]:
    """Returns variables with floating params in a dtype; state is left alone (A7).

    Args:
        variables: Params and state.
        trainable: Names of the collections of params.
        dtype: The dtype; None for no cast.
    """
    return {
        name: cast_floats(tree, dtype) if name in trainable else tree
        for name, tree in variables.items()
    }


def random_like(tree: Any, seed: int) -> Any:
    """Returns a tree of the same form with other values, away from zero; keys stay.

    Args:
        tree: Arrays, or abstract ones.
        seed: Seed of NumPy's generator.
    """
    rng = np.random.default_rng(seed)

    def make(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return jnp.asarray(rng.integers(0, 2, leaf.shape)).astype(leaf.dtype)
        return jnp.asarray(rng.uniform(0.1, 1.0, leaf.shape)).astype(leaf.dtype)

    return jax.tree_util.tree_map(make, tree)


def merge_missing(variables: Variables, extra: Variables) -> dict[str, Any]:
    """Returns variables with those of another tree that they lack."""
    merged = dict(variables)
    for name, value in extra.items():
        if name not in merged:
            merged[name] = value
        elif isinstance(value, Mapping) and isinstance(merged[name], Mapping):
            merged[name] = merge_missing(merged[name], value)
    return merged
