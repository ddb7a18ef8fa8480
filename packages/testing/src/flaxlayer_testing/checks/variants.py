"""Variants of a subject's call: behind a mask, in another dtype, on another batch (§5)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_testing.oracle.call import is_array
from flaxlayer_testing.subject.subject import Subject

__all__ = ["COMPUTE", "mask_of", "repeated"]

COMPUTE = "bfloat16"


def mask_of(subject: Subject) -> Any:
    """Returns a mask of the first two dimensions of the first input, None if it has none."""
    first: Any = subject.inputs[0] if subject.inputs else None
    if not is_array(first) or np.ndim(first) < 2:
        return None
    shape = np.shape(first)[:2]
    return np.arange(np.prod(shape)).reshape(shape) % 3 != 1


def repeated(tree: Any, times: int) -> Any:
    """Returns a tree with its arrays repeated along the batch."""

    def repeat(leaf: Any) -> Any:
        return jnp.concatenate([leaf] * times) if is_array(leaf) else leaf

    return jax.tree_util.tree_map(repeat, tree)
