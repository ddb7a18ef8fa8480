"""The `nnx.Rngs` that a layer hands to a method, and what the method asks of it (R1, R5)."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Mapping

import jax
from flax import nnx
from flax.errors import InvalidRngError

from flaxlayer_core.ambient import holding
from flaxlayer_core.compat.private_jax import ASKED_OF_ANY
from flaxlayer_core.compat.private_linen import StreamRecord
from flaxlayer_core.compat.private_nnx import use_fast_counts
from flaxlayer_core.typing import Leaf, PyTree

__all__ = ["note_key", "noted_keys", "recording_supplied", "supplied_rngs"]

_record: contextvars.ContextVar[StreamRecord | None] = contextvars.ContextVar(
    "flaxlayer_supplied_record", default=None
)


def supplied_rngs(keys: Mapping[str, jax.Array]) -> nnx.Rngs:
    """Makes an `nnx.Rngs` of the streams of a call.

    Args:
        keys: The key of each stream.

    Returns:
        A new object, as `nnx.Rngs(**keys)`; under `recording_supplied` one that tells which streams
        it is asked for.

    Example:

    ```python
    >>> from flaxlayer_core.compat.private_linen import StreamRecord
    >>> with recording_supplied(StreamRecord()) as record:
    ...     hasattr(supplied_rngs({}), "noise")
    False
    >>> record.asked
    {'noise'}

    ```
    """
    named: dict[str, PyTree] = dict(keys)
    rngs = nnx.Rngs(**named) if _record.get() is None else _RecordingRngs(**named)
    streams = [stream for stream in vars(rngs).values() if isinstance(stream, nnx.RngStream)]
    use_fast_counts(streams)
    return rngs


@contextlib.contextmanager
def recording_supplied(record: StreamRecord) -> Iterator[StreamRecord]:
    """Opens a context in which a record gets what methods ask of the keys that they are given.

    Args:
        record: The record.

    Yields:
        The same.
    """
    with holding(_record, record):
        yield record


def note_key(stream: str, keys: Mapping[str, jax.Array]) -> None:
    """Notes that a method is given the key of a stream, or would be if there were one."""
    record = _record.get()
    if record is not None:
        record.asked.add(stream)
        if stream in keys:
            record.drawn.add(stream)
            record.supplied.add(stream)


def noted_keys() -> set[str]:
    """Returns the streams that were drawn from by what methods were given."""
    record = _record.get()
    return set() if record is None else set(record.supplied)


class _NoStreamError(AttributeError, KeyError, InvalidRngError):
    """What Flax raises for an attribute and for an item; the search for streams knows it."""


class _RecordingRngs(nnx.Rngs):
    """Streams that note what they are asked for; it passes through transforms as its class does."""

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        if isinstance(found, nnx.RngStream):
            _ask(self, name)
        return found

    def __getattr__(self, name: str) -> object:
        if name[:1] != "_" and name not in ASKED_OF_ANY:
            _ask(self, name)
        return super().__getattr__(name)

    def __getitem__(self, name: str) -> object:
        _ask(self, name)
        return super().__getitem__(name)

    def __contains__(self, name: Leaf) -> bool:
        with contextlib.suppress(_NoStreamError):
            _ask(self, name)
        return super().__contains__(name)

    def fork(self, *args: object, **kwargs: Leaf) -> nnx.Rngs:
        return self._recording(super().fork(*args, **kwargs))

    def split(self, *args: Leaf, **kwargs: Leaf) -> nnx.Rngs:
        return self._recording(super().split(*args, **kwargs))

    def broadcast(self, *args: Leaf, **kwargs: Leaf) -> nnx.Rngs:
        return self._recording(super().broadcast(*args, **kwargs))

    def _recording(self, made: nnx.Rngs) -> nnx.Rngs:
        for name in list(self):
            _ask(self, name)
        if isinstance(made, nnx.Rngs):  # else a context of Flax's older API
            made.__class__ = _RecordingRngs
        return made


def _ask(rngs: nnx.Rngs, name: str) -> None:
    record = _record.get()
    if record is None:
        return
    names = {key for key, value in vars(rngs).items() if isinstance(value, nnx.RngStream)}
    if name in names:
        record.drawn.add(name)
        record.supplied.add(name)
        return
    record.asked.add(name)
    if "default" in names:  # Flax falls back to it
        record.replaced.add(name)
        record.drawn.add("default")
        record.supplied.add("default")
        return
    record.missing = name
    raise _NoStreamError(f"No RngStream named {name!r} found in Rngs.")
