"""Which values a variable can hold without a loss that nobody would see (C6, W4)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer.typing import Array, DType
from flaxlayer_core import VariableSpec, is_form

__all__ = ["cast_value", "find_loss", "find_overflow"]

_KINDS = (np.bool_, np.integer, np.floating, np.complexfloating)


def find_loss(value: Array, spec: VariableSpec) -> str:
    """Tells why a value cannot stand for that of a variable.

    Floats may lose digits, as when a module keeps half of what a file has. A part that is
    imaginary, a fraction, or an integer that is too large would be lost in silence.

    Args:
        value: An array, a number, or a `ShapeDtypeStruct`.
        spec: The variable.

    Returns:
        The reason, "" where there is none.

    Example:

    ```python
    >>> find_loss(np.array([1.5]), VariableSpec(("count", "n"), (1,), np.dtype("int32")))
    'dtype float64, not int32'

    ```
    """
    array = value if hasattr(value, "dtype") else np.asarray(value)
    is_key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    if is_key or spec.key_impl:
        return "" if is_key and spec.key_impl else f"dtype {array.dtype}, not that of a key"[:200]
    found, wanted = _rank(array.dtype), _rank(spec.dtype)
    if found > wanted or (wanted == 0) != (found == 0):
        return f"dtype {array.dtype}, not {spec.dtype}"
    if found == wanted == 1 and not is_form(array):
        return find_overflow(array, spec.dtype)
    return ""


def _rank(dtype: DType) -> int:
    return next(rank for rank, kind in enumerate(_KINDS) if jnp.issubdtype(dtype, kind))


def find_overflow(array: Array, dtype: DType) -> str:
    """Tells which integers of an array a dtype does not hold, "" where it holds all of them."""
    if not array.size or not all(jnp.issubdtype(each, np.integer) for each in (array.dtype, dtype)):
        return ""
    held, kind = jnp.iinfo(dtype), jnp.iinfo(array.dtype)
    if kind.min >= held.min and kind.max <= held.max:
        return ""
    least, most = int(array.min()), int(array.max())
    fits = held.min <= least and most <= held.max
    return "" if fits else f"values from {least} to {most}, beyond {dtype}"


def cast_value(value: Array, dtype: DType) -> Array:
    """Returns a number or an array of NumPy in the dtype of a variable; others as they are.

    JAX would first take 64 bits for 32.

    Args:
        value: What `find_loss` finds no loss in.
        dtype: The dtype of the variable.

    Returns:
        What `jnp.asarray` takes without a change.
    """
    return value if isinstance(value, jax.Array) else np.asarray(value).astype(jnp.dtype(dtype))
