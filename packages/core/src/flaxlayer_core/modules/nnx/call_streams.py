"""Random streams of nnx modules: their keys for a call, and what it draws from them (R1, R2)."""

from __future__ import annotations

from collections.abc import Iterable

import jax
import jax.numpy as jnp
from flax import nnx

from flaxlayer_core.compat.private_nnx import use_fast_counts, variable_value
from flaxlayer_core.typing import PyTree, Rngs

__all__ = ["CallStreams"]


class CallStreams:
    """The streams of a module for one call.

    Args:
        streams: The streams, in the order of the module's graph; they are changed.
        keys: The key of each name of a stream that gets one, as `nnx.reseed(module,
            policy="match_shape", **keys)` gives them.
    """

    def __init__(self, streams: Iterable[nnx.RngStream], keys: Rngs) -> None:
        self._streams = list(streams)
        _reseed(self._streams, keys)
        self._counts = [variable_value(stream.count) for stream in self._streams]
        use_fast_counts(self._streams)

    @property
    def drawn(self) -> set[str]:
        """The names of those that numbers were drawn from."""
        counts = zip(self._streams, self._counts, strict=True)
        return {stream.tag for stream, count in counts if variable_value(stream.count) is not count}


def _reseed(streams: Iterable[nnx.RngStream], keys: Rngs) -> None:
    # `nnx.reseed` draws from streams of its own, which count slowly in a trace.
    named: dict[str, PyTree] = dict(keys)
    sources = nnx.Rngs(**named)
    use_fast_counts(sources[name] for name in named)
    for stream in streams:
        if stream.key.tag in named:
            key, shape = sources[stream.key.tag](), stream.key.shape
            stream.key.set_value(jax.random.split(key, shape) if shape else key)
            stream.count.set_value(jnp.zeros(shape, jnp.uint32))
