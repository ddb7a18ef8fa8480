"""R2 stated a second time: from a seed and a count of draws to the key of a stream (T10).

It follows docs/randomness.md by `jax.random` alone; a layer whose keys move disagrees with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from flaxlayer_testing.errors import DeriveKeyError

__all__ = ["call_keys", "init_keys", "seed_at", "stream_key"]

Seed = np.ndarray[Any, np.dtype[np.uint32]]

_INIT = "flaxlayer/init"
_SIZE = 2**32


def seed_at(seed: int, draws: int) -> Seed:
    """Returns the state of a Keras `SeedGenerator` after some draws.

    Args:
        seed: The integer that the generator was made with, `0 <= seed < 2**32`.
        draws: How many seeds were drawn; the count wraps at `2**32`.

    Returns:
        `uint32[2]`: the seed and the count, which the next draw gives.

    Raises:
        DeriveKeyError: If the seed has no such state.

    Example:

    ```python
    >>> seed_at(7, 3).tolist()
    [7, 3]

    ```
    """
    if not 0 <= seed < _SIZE:
        raise DeriveKeyError(
            "A seed generator cannot start from this seed.",
            expected="an integer of 32 bits, not negative",
            found=str(seed),
            fix="Give another seed.",
            law="R3",
        )
    return np.array([seed, draws % _SIZE], np.uint32)


def _number(name: str) -> np.uint32:
    return np.uint32(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"))


def stream_key(state: Any, stream: str) -> jax.Array:
    """Returns the key of a stream in the call that draws a seed (R2).

    Args:
        state: `uint32[2]`, what was drawn: the state of the seed generator before the call.
        stream: The name of the stream.

    Returns:
        A typed key of JAX's default implementation.

    Example:

    ```python
    >>> jax.random.key_data(stream_key(seed_at(7, 3), "dropout")).tolist()
    [4190711076, 1513357948]

    ```
    """
    seed, draws = np.asarray(state).astype(np.uint32)  # TensorFlow keeps int64
    base = jax.random.fold_in(jax.random.key(seed), draws)
    return jax.random.fold_in(base, _number(stream))


def call_keys(seed: int, draws: int, streams: Iterable[str]) -> dict[str, jax.Array]:
    """Returns the keys of the call of a layer before which some seeds were drawn (R2, R3).

    Args:
        seed: The layer's seed.
        draws: How many calls before it drew a seed: those in a mode that needs any stream.
        streams: Names of the streams that the module draws from in the call.

    Returns:
        A typed key for each stream.

    Example:

    ```python
    >>> sorted(call_keys(7, 0, ["noise", "dropout"]))
    ['dropout', 'noise']

    ```
    """
    state = seed_at(seed, draws)
    return {stream: stream_key(state, stream) for stream in sorted(streams)}


def init_keys(seed: int, streams: Iterable[str]) -> dict[str, jax.Array]:
    """Returns the keys of a layer's init, from a branch that no call uses (B2, R3).

    Args:
        seed: The layer's seed.
        streams: Names of the streams that init draws from; `params` among them for most modules.

    Returns:
        A typed key for each stream.

    Example:

    ```python
    >>> jax.random.key_data(init_keys(7, ["params"])["params"]).tolist()
    [1311765167, 3902833518]

    ```
    """
    branch = stream_key(seed_at(seed, 0), _INIT)
    return {stream: jax.random.fold_in(branch, _number(stream)) for stream in sorted(streams)}
