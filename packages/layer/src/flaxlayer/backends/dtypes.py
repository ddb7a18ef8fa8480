"""Dtypes of inputs, as JAX takes them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer.typing import DType
from flaxlayer_core import ArraySpec

__all__ = ["canonical_dtype", "number_spec"]


def canonical_dtype(dtype: DType) -> DType:
    """Returns the dtype that an array has in JAX: 64-bit types only under x64.

    Args:
        dtype: A dtype of NumPy or JAX, that of random keys included, or its name.

    Example:

    ```python
    >>> import numpy as np
    >>> canonical_dtype(np.float64)
    dtype('float32')

    ```
    """
    if not isinstance(dtype, str) and jnp.issubdtype(dtype, jax.dtypes.extended):
        return dtype
    return jax.dtypes.canonicalize_dtype(dtype)


def number_spec(number: float | complex) -> ArraySpec:
    """Describes a number of Python as `jax.jit` takes it: of the default dtype, weakly typed (A1).

    Example:

    ```python
    >>> str(number_spec(0.5)), number_spec(0.5).weak
    ('float32[]', True)

    ```
    """
    return ArraySpec((), canonical_dtype(np.dtype(type(number))), weak=True)
