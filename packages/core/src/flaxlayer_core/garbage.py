"""Fewer runs of Python's garbage collector while much is made that stays (B6)."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

__all__ = ["collecting_rarely"]

# As many new objects as a trace of one block of a network makes, some tens of MiB.
_MANY = 200_000

_lock = threading.Lock()


class _Open:
    """The contexts that are open in all threads, and what stood before the first of them."""

    count = 0
    before = (0, 0, 0)


@contextlib.contextmanager
def collecting_rarely() -> Iterator[None]:
    """Opens a context in which Python looks for garbage after many new objects, not after a few.

    To trace a module makes millions of objects that live as long as the trace, and Python, which
    begins to look for unreachable ones after some hundreds of new ones, goes through all that are
    there again and again: a third of the time of a deep network's build. What is reachable no more
    is freed as before, but for objects that refer to each other.

    It is a setting of the whole process, which is put back after the last context of all threads;
    where collection is off, or somebody else sets it meanwhile, that stands.

    Yields:
        Nothing.

    Example:

    ```python
    >>> before = gc.get_threshold()
    >>> with collecting_rarely():
    ...     gc.get_threshold()[0]
    200000
    >>> gc.get_threshold() == before
    True

    ```
    """
    with _lock:
        if not _Open.count:
            _Open.before = gc.get_threshold()
            if 0 < _Open.before[0] < _MANY:
                gc.set_threshold(_MANY, *_Open.before[1:])
        _Open.count += 1
    try:
        yield
    finally:
        with _lock:
            _Open.count -= 1
            if not _Open.count and gc.get_threshold() == (_MANY, *_Open.before[1:]):
                gc.set_threshold(*_Open.before)
