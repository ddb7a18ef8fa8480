"""The dtypes that files name (S3)."""

from __future__ import annotations

import jax
import numpy as np

__all__ = ["is_numeric", "named_dtype"]

_LONGEST = 32


def is_numeric(dtype: np.dtype[np.generic]) -> bool:
    """Tells whether a dtype is one of numbers or booleans, those that JAX adds included."""
    number = jax.numpy.issubdtype(dtype, np.number) and dtype.kind != "m"  # a span of time is one
    return bool(dtype == np.bool_ or number)


def named_dtype(name: object) -> np.dtype[np.generic] | None:
    """Returns the dtype of numbers that has a name, None where none has.

    Example:

    ```python
    >>> named_dtype("bfloat16")
    dtype(bfloat16)
    >>> named_dtype("f4,f4"), named_dtype("object"), named_dtype(7)
    (None, None, None)

    ```
    """
    # NumPy parses anything else as an expression, a long one in quadratic time.
    if not isinstance(name, str) or len(name) > _LONGEST or not name.isidentifier():
        return None
    try:
        dtype = np.dtype(jax.numpy.dtype(name))
    except (TypeError, ValueError):
        return None
    return dtype if is_numeric(dtype) else None
