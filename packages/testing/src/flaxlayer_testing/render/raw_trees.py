"""What programs do with trees of arguments and variables: a program holds the source that it uses.

They need `jax`, `jnp` and `np` only.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["after", "cast", "compiled", "filled_in", "is_array", "leaves", "put", "split"]


def is_array(leaf: Any) -> bool:
    """Tells whether a leaf is an array."""
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def split(tree: Any) -> tuple[list[Any], Any]:
    """Returns the arrays of a tree, and a function that puts others in their places."""
    found, structure = jax.tree.flatten(tree)

    def merge(arrays: Any) -> Any:
        following = iter(arrays)
        filled = [next(following) if is_array(leaf) else leaf for leaf in found]
        return jax.tree.unflatten(structure, filled)

    return [jnp.asarray(leaf) for leaf in found if is_array(leaf)], merge


def compiled(function: Any) -> Any:
    """Returns `jax.jit(function)`, whose results may hold leaves that are no arrays."""
    merges = []

    def run(*args: Any) -> Any:
        found, structure = jax.tree.flatten(function(*args))
        statics = [None if is_array(leaf) else (leaf,) for leaf in found]
        merges.append((statics, structure))
        return [leaf for leaf in found if is_array(leaf)]

    def call(*args: Any) -> Any:
        following = iter(jax.jit(run)(*args))
        statics, structure = merges[-1]
        filled = [next(following) if static is None else static[0] for static in statics]
        return jax.tree.unflatten(structure, filled)

    return call


def cast(tree: Any, dtype: Any) -> Any:
    """Returns a tree with its floating leaves in a dtype; all as they are for None."""

    def one(leaf: Any) -> Any:
        floats = is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)
        return jnp.asarray(leaf, dtype) if floats and dtype else leaf

    return jax.tree.map(one, tree)


def leaves(tree: Any) -> dict[str, Any]:
    """Returns the leaves of a tree of variables by their paths; boxes have no part in them."""
    found = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        names = [getattr(key, "key", getattr(key, "idx", None)) for key in keys]
        texts = [str(name) for name in names if name is not None]
        found["/".join(text.replace("%", "%25").replace("/", "%2F") for text in texts)] = leaf
    return found


def put(tree: Any, values: Any) -> Any:
    """Returns a tree of variables with other values at some paths."""
    changed = {**leaves(tree), **values}
    return jax.tree.unflatten(jax.tree.structure(tree), list(changed.values()))


def after(variables: Any, updates: Any, state: list[str], frozen: Any = ()) -> Any:
    """Returns the variables after a call: state is fed back, and what is frozen stays."""
    following = {**variables, **{name: updates[name] for name in state if name in updates}}
    kept = {path: leaf for path, leaf in leaves(variables).items() if path in frozen}
    return put(following, {path: leaf for path, leaf in kept.items() if path in leaves(following)})


def filled_in(variables: Any, more: Any) -> dict[str, Any]:
    """Returns variables with those of another tree that they lack."""
    found = dict(variables)
    for name, value in more.items():
        inner = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = filled_in(found[name], value) if inner else found.get(name, value)
    return found
