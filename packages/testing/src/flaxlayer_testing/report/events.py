"""The one stream of events that every front end and every report is made of (T8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flaxlayer_testing.checks import Check
from flaxlayer_testing.report.report import Entry, Report

__all__ = [
    "CheckFinished",
    "CheckStarted",
    "Event",
    "Listener",
    "ReportFinished",
    "ShrinkTried",
    "listening",
]


@dataclass(frozen=True)
class CheckStarted:
    """A check begins.

    Attributes:
        check: The check.
    """

    check: Check


@dataclass(frozen=True)
class CheckFinished:
    """A check has ended, or was skipped.

    Attributes:
        entry: What it found.
    """

    entry: Entry


@dataclass(frozen=True)
class ReportFinished:
    """All checks of one module have ended.

    Attributes:
        report: What they found.
    """

    report: Report


@dataclass(frozen=True)
class ShrinkTried:
    """A smaller module is tried, as one was found that fails.

    Attributes:
        check: The name of the check that failed.
        tries: How many have been tried, of all failures.
    """

    check: str
    tries: int


Event = CheckStarted | CheckFinished | ReportFinished | ShrinkTried

Listener = Callable[[Event], object]
"""Is told every event as it comes."""

_LISTENERS: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tells a listener every event of what is checked in the meantime in this process.

    Args:
        listener: Called with each event.

    Yields:
        Nothing.

    Example:

    ```python
    >>> import flax.linen as nn, numpy as np
    >>> from flaxlayer_testing import check_module
    >>> events = []
    >>> with listening(events.append):
    ...     report = check_module(nn.Dense(2), np.ones((1, 3), np.float32), only=["check_seed"])
    >>> [type(event).__name__ for event in events]
    ['CheckStarted', 'CheckFinished', 'ReportFinished']

    ```
    """
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


def tell(event: Event) -> None:
    """Tells an event to all who listen."""
    for listener in tuple(_LISTENERS):
        listener(event)
