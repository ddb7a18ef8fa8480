"""What counts as an array among the arguments and outputs of a call (A1, A5)."""

from __future__ import annotations

import jax
import numpy as np

from flaxlayer_core.shapes import ArraySpec
from flaxlayer_core.typing import PyTree

__all__ = ["holds_numbers", "is_array"]

_ARRAYS = (jax.Array, jax.ShapeDtypeStruct, ArraySpec)
# By its class, not by the object: an object of nnx has an attribute for any name.
_PROTOCOLS = ("__array__", "__jax_array__", "__dlpack__", "__tf_tracing_type__")


def holds_numbers(dtype: np.dtype[PyTree]) -> bool:
    """Tells whether a dtype of NumPy is one of numbers: not of objects, texts or dates."""
    return dtype.kind not in "OSUMm"


def is_array(value: object) -> bool:
    """Tells whether a leaf is an array: concrete, traced, or abstract.

    Args:
        value: Any leaf of a call's arguments.

    Returns:
        True for arrays of numbers or keys: those of JAX and NumPy, NumPy's scalars, tracers,
        `ShapeDtypeStruct`, and what other libraries make to be read as an array (Keras tensors and
        variables, tensors of TensorFlow); False for dtypes, Python's numbers, and objects that
        only have a `shape` and a `dtype`.

    Example:

    ```python
    >>> import jax.numpy as jnp
    >>> is_array(jnp.ones(3)), is_array(3.0), is_array(jnp.float32)
    (True, False, False)

    ```
    """
    if isinstance(value, _ARRAYS):
        return True
    if isinstance(value, np.ndarray | np.generic):
        return holds_numbers(value.dtype) and value.dtype.names is None
    kind = type(value)
    if isinstance(value, type) or not any(hasattr(kind, name) for name in _PROTOCOLS):
        return False
    return hasattr(value, "shape") and hasattr(value, "dtype")
