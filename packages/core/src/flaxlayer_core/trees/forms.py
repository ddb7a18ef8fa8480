"""Arrays without values: the form of what was given (B4)."""

from __future__ import annotations

import jax

from flaxlayer_core.typing import PyTree, Shaped

__all__ = ["as_form", "holds_forms", "is_form"]


def is_form(leaf: object) -> bool:
    """Tells whether a leaf has a shape and a dtype, and no value."""
    return isinstance(leaf, jax.ShapeDtypeStruct)


def holds_forms(tree: PyTree) -> bool:
    """Tells whether a leaf of a tree has no value."""
    return any(map(is_form, jax.tree_util.tree_leaves(tree)))


def as_form(tree: PyTree) -> PyTree:
    """Returns a tree of arrays without their values.

    Args:
        tree: A tree of arrays or of `ShapeDtypeStruct`.

    Returns:
        The same tree of `ShapeDtypeStruct`, in dtypes that JAX has.

    Example:

    ```python
    >>> import numpy as np
    >>> as_form({"params": {"bias": np.ones(2)}})
    {'params': {'bias': ShapeDtypeStruct(shape=(2,), dtype=float32)}}

    ```
    """
    return jax.tree_util.tree_map(_described, tree)


def _described(leaf: Shaped) -> jax.ShapeDtypeStruct:
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    return jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype))
