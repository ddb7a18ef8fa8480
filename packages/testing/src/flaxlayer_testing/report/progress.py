"""How far a run is, and how long it may still take: a bar, or a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from flaxlayer_testing.report.events import (
    CheckFinished,
    CheckStarted,
    Event,
    ReportFinished,
    ShrinkTried,
    listening,
)

__all__ = ["Lines", "Progress", "progress"]

SECONDS_BETWEEN_LINES = 30.0

_COUNTED: Mapping[str, type[Event]] = {"checks": CheckFinished, "modules": ReportFinished}


class Progress(Protocol):
    """Shows how far a run is."""

    def advance(self) -> None:
        """Counts a unit that is done."""

    def describe(self, text: str) -> None:
        """Says what is done at the moment."""


class Bar:
    """A bar with the time that is left, on a terminal."""

    def __init__(self, shown: RichProgress, total: int, unit: str) -> None:
        self._shown, self._task = shown, shown.add_task(unit, total=total)

    def advance(self) -> None:
        """Counts a unit that is done."""
        self._shown.advance(self._task)

    def describe(self, text: str) -> None:
        """Says what is done at the moment."""
        self._shown.update(self._task, description=text)


class Lines:
    """A line now and then, where no terminal shows a bar.

    Args:
        total: How many units there are.
        unit: What they are.
        write: Writes a line.
        clock: Seconds since some moment.

    Example:

    ```python
    >>> seconds = iter([0.0, 10.0, 40.0])
    >>> lines = Lines(4, "modules", print, lambda: next(seconds))
    >>> lines.advance()
    >>> lines.advance()
    2 of 4 modules in 0:40, about 0:40 left

    ```
    """

    def __init__(
        self,
        total: int,
        unit: str,
        write: Callable[[str], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._unit, self._write, self._clock = total, unit, write, clock
        self._done, self._began = 0, clock()
        self._last = self._began

    def advance(self) -> None:
        """Counts a unit that is done."""
        self._done += 1
        now = self._clock()
        spent = now - self._began
        left = spent / self._done * max(self._total - self._done, 0)
        self._say(now, f"{self._counted(spent)}, about {_minutes(left)} left")

    def describe(self, text: str) -> None:
        """Says what is done at the moment."""
        now = self._clock()
        self._say(now, f"{self._counted(now - self._began)}; {text}")

    def _counted(self, spent: float) -> str:
        return f"{self._done} of {self._total} {self._unit} in {_minutes(spent)}"

    def _say(self, now: float, text: str) -> None:
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            self._write(text)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


@contextmanager
def progress(total: int, *, unit: str = "modules") -> Iterator[Progress]:
    """Shows how far a run is, from its events, on stderr.

    Args:
        total: How many units there are.
        unit: `"checks"` and `"modules"` advance by events; others by the caller.

    Yields:
        The display.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    bar = RichProgress(*columns, console=console, transient=True) if console.is_terminal else None
    shown: Progress = Bar(bar, total, unit) if bar else Lines(total, unit, _to_stderr)

    def listener(event: Event) -> None:
        if isinstance(event, CheckStarted):
            shown.describe(event.check.name)
        elif isinstance(event, ShrinkTried):
            shown.describe(f"shrinking a failure of {event.check}, {event.tries} tried")
        elif unit in ("checks", "modules", "scenarios") and isinstance(event, CheckFinished) == (
            unit == "checks"
        ):
            shown.advance()

    with bar or nullcontext(), listening(listener):
        yield shown


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)
