"""The loss that a check of learning trains by."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_testing.oracle.call import is_array

__all__ = ["probe_loss"]


def probe_loss(outputs: Any) -> Any:
    """Returns a scalar that depends on every element of every floating output.

    Args:
        outputs: The outputs of a method.

    Returns:
        `float32[]`: the sum over outputs of the mean of `cos(i) * y_i`, so that no two elements
        weigh the same and gradients stay of the size of one.
    """
    total = jnp.zeros((), jnp.float32)
    for leaf in jax.tree_util.tree_leaves(outputs):
        if is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact) and leaf.size:
            flat = jnp.real(leaf).reshape(-1).astype(jnp.float32)
            total += jnp.mean(flat * np.cos(np.arange(flat.size, dtype=np.float32)))
    return total
