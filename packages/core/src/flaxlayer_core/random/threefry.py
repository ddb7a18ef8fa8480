"""JAX's default random keys in plain integers: the same bits, and nothing to compile (R2, B2).

JAX folds a number into a key by one block of Threefry-2x32 with twenty rounds (Salmon et al.,
Parallel random numbers: as easy as 1, 2, 3, 2011). A build folds in a few dozen, and would compile
a program for it first.
"""

from __future__ import annotations

import jax
import numpy as np

__all__ = ["fold_in", "key_of_seed"]

_MASK = 0xFFFFFFFF
_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def _block(key: tuple[int, int], count: tuple[int, int]) -> tuple[int, int]:
    schedule = (*key, key[0] ^ key[1] ^ _PARITY)
    left, right = (count[0] + key[0]) & _MASK, (count[1] + key[1]) & _MASK
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            left = (left + right) & _MASK
            turned = (right << distance | right >> (32 - distance)) & _MASK
            right = left ^ turned
        left = (left + schedule[(group + 1) % 3]) & _MASK
        right = (right + schedule[(group + 2) % 3] + group + 1) & _MASK
    return left, right


def key_of_seed(seed: int) -> jax.Array:
    """Returns `jax.random.key(seed, impl="threefry2x32")` for `0 <= seed < 2**32`.

    Example:

    ```python
    >>> jax.random.key_data(key_of_seed(7)).tolist()
    [0, 7]

    ```
    """
    return _key(0, seed)


def fold_in(key: jax.Array, *data: int) -> jax.Array:
    """Returns the key that `jax.random.fold_in` gives for one number after the other.

    Args:
        key: A single key of JAX's default implementation; no tracer.
        *data: Numbers, `0 <= data < 2**32`.

    Returns:
        A key.

    Example:

    ```python
    >>> key = jax.random.key(3)
    >>> bool(fold_in(key, 5) == jax.random.fold_in(key, 5))
    True

    ```
    """
    first, second = np.asarray(jax.random.key_data(key)).tolist()
    for number in data:
        first, second = _block((first, second), (0, number))
    return _key(first, second)


def _key(first: int, second: int) -> jax.Array:
    data = jax.device_put(np.array([first, second], np.uint32))
    key: jax.Array = jax.random.wrap_key_data(data, impl="threefry2x32")
    return key
