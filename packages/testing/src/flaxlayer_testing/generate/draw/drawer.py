"""The ways in which a graph draws, each chosen for how it shrinks (T1)."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import lru_cache
from typing import TypeVar

from hypothesis import strategies as st

__all__ = ["Draw", "once"]

T = TypeVar("T")


class Draw:
    """Draws from strategies; the function that `st.composite` gives, with its types."""

    def __init__(self, function: st.DrawFn) -> None:
        self._function = function

    def one_of(self, values: Sequence[T], *, allowed: Container[T] | None = None) -> T:
        """Draws one of some values; it shrinks to the first that is allowed."""
        # Hypothesis counts no choice where there is none to make, and prefers fewer choices to
        # simpler ones: an operation without options would be simpler than `Dense`.
        padded = values if len(values) > 1 else (values[0], values[0])
        strategy = _sampled(tuple(padded), tuple(map(_kind, padded)))
        if allowed is not None:
            strategy = strategy.filter(lambda value: value in allowed)
        drawn: T = self._function(strategy)
        return drawn

    def number(self, below: int) -> int:
        """Draws a number; it shrinks to zero."""
        return self._function(st.integers(0, below - 1))

    def mostly_first(self, values: Sequence[T]) -> T:
        """Draws the first value three times out of four, else any."""
        return values[0] if self.one_of((True, True, True, False)) else self.one_of(values)

    def span(self, make: Callable[[Draw], T]) -> T:
        """Draws in one piece, which Hypothesis can then delete as a whole."""
        return self._function(_span(make))


def _kind(value: object) -> object:
    # (True, 1) == (1, True), too.
    return tuple(map(_kind, value)) if isinstance(value, tuple) else type(value)


@lru_cache(maxsize=4096)
def _sampled(values: tuple[T, ...], _kinds: tuple[object, ...]) -> st.SearchStrategy[T]:
    # Making a strategy costs more than drawing from it. By type, too, because True == 1.
    return st.sampled_from(values)


@st.composite
def _span(draw: st.DrawFn, make: Callable[[Draw], T]) -> T:
    return make(Draw(draw))


def once(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Returns a strategy that draws the same, and seldom the same twice in a row.

    Hypothesis goes on from an example by putting one of its choices in the place of another, which
    makes of three modules about one that was there before; but not inside of a unique list.

    Args:
        strategy: What it draws; its values are hashable.

    Returns:
        Another strategy.
    """
    return st.lists(strategy, min_size=1, max_size=1, unique=True).map(_only)


def _only(values: list[T]) -> T:
    return values[0]
