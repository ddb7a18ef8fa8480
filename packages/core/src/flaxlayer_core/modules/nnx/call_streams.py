"""Random streams of nnx modules: their keys for a call, and what it draws from them (R1, R2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flax import nnx

from flaxlayer_core.compat.private_nnx import variable_value

__all__ = ["CallStreams", "use_fast_counts"]


class _Count(nnx.RngCount):
    """A count that takes a new value as a whole, whatever device the old one lies on.

    A draw does `count[...] += 1`, and Flax then compares the shardings of both values. A tracer has
    none, and JAX searches the whole trace to say so: a trace with many draws would take quadratic
    time.
    """

    def __setitem__(self, key: Any, value: Any) -> None:
        if key is Ellipsis:
            self.set_value(value)
        else:
            super().__setitem__(key, value)


def use_fast_counts(streams: Iterable[nnx.RngStream], *, quickly: bool = True) -> None:
    """Lets streams count draws in a trace without a search through it, or as Flax does.

    Args:
        streams: The streams, which are changed.
        quickly: False to make them as they were.

    Example:

    ```python
    >>> rngs = nnx.Rngs(0)
    >>> use_fast_counts([rngs.default])
    >>> key, count = rngs(), int(rngs.default.count[...])
    >>> use_fast_counts([rngs.default], quickly=False)
    >>> count, type(rngs.default.count) is nnx.RngCount
    (1, True)

    ```
    """
    old, new = (nnx.RngCount, _Count) if quickly else (_Count, nnx.RngCount)
    for stream in streams:
        if type(stream.count) is old:
            stream.count.__class__ = new


class CallStreams:
    """The streams of a module for one call.

    Args:
        streams: The streams, in the order of the module's graph; they are changed.
        keys: The key of each name of a stream that gets one, as `nnx.reseed(module,
            policy="match_shape", **keys)` gives them.
    """

    def __init__(self, streams: Iterable[nnx.RngStream], keys: Mapping[str, Any]) -> None:
        self._streams = list(streams)
        named: dict[str, Any] = dict(keys)
        nnx.reseed(self._streams, policy="match_shape", **named)
        self._counts = [variable_value(stream.count) for stream in self._streams]
        use_fast_counts(self._streams)

    @property
    def drawn(self) -> set[str]:
        """The names of those that numbers were drawn from."""
        counts = zip(self._streams, self._counts, strict=True)
        return {stream.tag for stream, count in counts if variable_value(stream.count) is not count}
