"""Trees compared by structure, shapes and dtypes (C2)."""

from __future__ import annotations

import jax
import numpy as np

from flaxlayer_core.typing import PyTree

__all__ = ["same_structure", "wider_dtypes"]


def same_structure(left: object, right: object) -> bool:
    """Tells whether two trees agree in structure, shapes and dtypes (C2).

    Args:
        left: A tree of arrays or of `ShapeDtypeStruct`.
        right: Another.

    Returns:
        True if every leaf stands at the same path with the same shape and dtype.

    Example:

    ```python
    >>> import numpy as np
    >>> same_structure({"a": np.ones(2)}, {"a": np.zeros(2)}), same_structure((), (np.ones(2),))
    (True, False)

    ```
    """
    structures: list[PyTree] = [jax.tree_util.tree_structure(tree) for tree in (left, right)]
    if structures[0] != structures[1]:
        return False
    pairs = zip(jax.tree_util.tree_leaves(left), jax.tree_util.tree_leaves(right), strict=True)
    return all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)


def wider_dtypes(stored: object, changed: object) -> PyTree | None:
    """Widens the dtypes of a tree to those that a call returned (C2).

    Args:
        stored: A tree of arrays or of `ShapeDtypeStruct`.
        changed: The same tree after a call.

    Returns:
        The stored tree in dtypes that hold both; None where there is nothing to widen, or where
        the trees differ in more.

    Example:

    ```python
    >>> import numpy as np
    >>> wider_dtypes({"n": np.zeros(2, np.int32)}, {"n": np.ones(2, np.float32)})["n"].dtype
    dtype('float32')

    ```
    """
    structures: list[PyTree] = [jax.tree_util.tree_structure(tree) for tree in (stored, changed)]
    before, treedef = jax.tree_util.tree_flatten(stored)
    after = jax.tree_util.tree_leaves(changed)
    if structures[0] != structures[1] or any(
        a.shape != b.shape for a, b in zip(before, after, strict=True)
    ):
        return None
    wider = [_wider(a, b) for a, b in zip(before, after, strict=True)]
    if all(leaf is known for leaf, known in zip(wider, before, strict=True)):
        return None
    return jax.tree_util.tree_unflatten(treedef, wider)


def _wider(stored: PyTree, changed: PyTree) -> PyTree:
    numbers = (np.number, np.bool_)
    for dtype in (stored.dtype, changed.dtype):
        if not any(jax.numpy.issubdtype(dtype, kind) for kind in numbers):
            return stored  # a key has one dtype
    if stored.dtype == changed.dtype:
        return stored
    if jax.numpy.promote_types(stored.dtype, changed.dtype) != changed.dtype:
        return stored
    if isinstance(stored, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(stored.shape, changed.dtype)
    return jax.numpy.asarray(stored, changed.dtype)
