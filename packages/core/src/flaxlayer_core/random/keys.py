"""Random keys: one seed a call, one key a stream, each independent of the others (R2, R3)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import jax
import numpy as np

from flaxlayer_core.compat.private_jax import prng_impl
from flaxlayer_core.random.threefry import fold_in, key_of_seed

__all__ = ["init_rngs", "next_seed", "stream_rngs"]

_INIT = "flaxlayer/init"


def _tag(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def _base_key(seed: jax.Array | np.ndarray) -> jax.Array:
    return jax.random.fold_in(jax.random.key(seed[0]), seed[1])


def stream_rngs(seed: jax.Array | np.ndarray, streams: Iterable[str]) -> dict[str, jax.Array]:
    """Derives the key of each stream from the seed of one call.

    A key depends on the seed and on the stream's name only, so that adding a stream does not move
    another (R2). The key implementation is JAX's current default.

    Args:
        seed: `uint32[2]`, the state of a Keras `SeedGenerator` before the call.
        streams: Names of the rng streams.

    Returns:
        A typed key for each stream, as `Module.apply(rngs=...)` takes it.

    Example:

    ```python
    >>> import jax, numpy as np
    >>> seed = np.array([7, 0], np.uint32)
    >>> alone = stream_rngs(seed, ["dropout"])["dropout"]
    >>> beside = stream_rngs(seed, ["noise", "dropout"])["dropout"]
    >>> bool((jax.random.key_data(alone) == jax.random.key_data(beside)).all())
    True

    ```
    """
    base = _base_key(seed)
    return {name: jax.random.fold_in(base, _tag(name)) for name in streams}


def init_rngs(seed: int, streams: Sequence[str]) -> dict[str, jax.Array]:
    """Derives the keys that `Module.init` gets from a layer's seed (B2, R3).

    They come from a branch of their own, so that no call of the layer uses the same key.

    Args:
        seed: The layer's seed, `0 <= seed < 2**32`.
        streams: Names of the rng streams; `"params"` among them for most modules.

    Returns:
        A typed key for each stream.

    Example:

    ```python
    >>> sorted(init_rngs(7, ["params", "dropout"]))
    ['dropout', 'params']

    ```
    """
    if prng_impl() == "threefry2x32":
        key = key_of_seed(seed)
        return {name: fold_in(key, 0, _tag(_INIT), _tag(name)) for name in streams}
    # From NumPy's numbers: an eager build would wait for each small program that cuts an array.
    base = jax.random.fold_in(_base_key(np.array([seed, 0], np.uint32)), _tag(_INIT))
    return {name: jax.random.fold_in(base, _tag(name)) for name in streams}


def next_seed(seed: jax.Array) -> jax.Array:
    """Returns the seed that follows `seed`, as Keras's `SeedGenerator.next` advances it.

    Args:
        seed: `uint32[2]`.

    Returns:
        `uint32[2]`, the counter in its second element advanced by one.

    Example:

    ```python
    >>> import jax.numpy as jnp
    >>> next_seed(jnp.array([7, 0], jnp.uint32)).tolist()
    [7, 1]

    ```
    """
    return seed + np.array([0, 1], seed.dtype)
