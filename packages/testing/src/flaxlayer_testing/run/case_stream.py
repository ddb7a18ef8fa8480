"""A stream of distinct cases, the same for the same seed (T1)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import TypeVar
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, find, given, reject, seed, settings
from hypothesis.database import ExampleDatabase, InMemoryExampleDatabase
from hypothesis.errors import NoSuchExample, Unsatisfiable
from hypothesis.strategies import SearchStrategy

__all__ = ["Draws", "draw_distinct", "draw_kept", "draw_smallest"]

C = TypeVar("C", bound=Hashable)
"""What is drawn: a case of a module, or a scenario."""

# Hypothesis draws in another order for another number of examples, so there is one for all: the
# first cases of a long search are those of a short one.
_MOST_DRAWS = 10**7
_KEY = b"case"

# Hypothesis begins with what is smallest to it, the same for each seed, and goes on with what is
# small beside that, as long as such cases are valid: until five in a row are not.
_SMALL = 6

MOST_REPEATS = 1000
"""After so many draws without a new case, the space counts as exhausted."""


@dataclass
class Draws:
    """What a stream has drawn.

    Attributes:
        distinct: The number of cases that were new.
        repeats: The number of those that were drawn before.
        exhausted: Whether the stream ended before it was told to.
    """

    distinct: int = 0
    repeats: int = 0
    exhausted: bool = False


def draw_distinct(
    strategy: SearchStrategy[C],
    number: int,
    take: Callable[[C], bool],
    known: Collection[C] = (),
) -> Draws:
    """Draws cases, and hands on each that is new.

    Args:
        strategy: Draws a case.
        number: A seed, which draws the same cases always.
        take: Is given each new case, and tells whether that is the last.
        known: Cases that are not new.

    Returns:
        What was drawn.
    """
    draws, seen, idle = Draws(), set(known), 0
    small: list[C] = []

    def hand_on(case: C) -> bool:
        nonlocal idle
        if case in seen:
            draws.repeats, idle = draws.repeats + 1, idle + 1
            if idle >= MOST_REPEATS:
                draws.exhausted = True
                raise _Ended
            return False
        seen.add(case)
        draws.distinct, idle = draws.distinct + 1, 0
        if take(case):
            raise _Ended
        return False

    try:
        _generated(strategy, number, hand_on, [Phase.generate], small=small)
        for case in small:
            hand_on(case)
    except _Ended:
        return draws
    draws.exhausted = True
    return draws


def draw_kept(strategy: SearchStrategy[C], choices: bytes) -> C | None:
    """Returns the case that choices in a database of Hypothesis stand for.

    Args:
        strategy: Draws a case.
        choices: A value of the database.

    Returns:
        The case; None where the strategy draws nothing from them.
    """
    return _reused(strategy, choices, lambda case: True, [Phase.reuse])


def draw_smallest(
    strategy: SearchStrategy[C],
    case: C,
    fails: Callable[[C], bool],
    *,
    number: int,
    most: int,
    choices: bytes | None = None,
    shrink: bool = True,
) -> tuple[C, bytes | None]:
    """Shrinks a case that fails.

    Args:
        strategy: Draws a case.
        case: What it drew.
        fails: Tells whether a smaller case fails alike.
        number: The seed of the stream which drew it.
        most: How many cases that stream has drawn at most before it.
        choices: The value of the database that it was drawn from, if it was.
        shrink: Whether to look for smaller ones.

    Returns:
        The smallest case that fails, and what a database keeps of it; the case and None where it is
        not drawn again.
    """
    verdicts, found, count = {case: True}, False, 0

    def condition(drawn: C) -> bool:
        nonlocal found, count
        found, count = found or drawn == case, count + 1
        if not found and count > most:
            raise _Ended
        if found and drawn not in verdicts:
            verdicts[drawn] = fails(drawn)
        return found and verdicts[drawn]

    database = InMemoryExampleDatabase()
    phases = [Phase.shrink] if shrink else []
    smallest = None
    with contextlib.suppress(_Ended):
        if choices is None:
            smallest = _generated(strategy, number, condition, [Phase.generate, *phases], database)
        else:
            smallest = _reused(strategy, choices, condition, [Phase.reuse, *phases], database)
    if smallest is None:  # what was drawn depends on more than the seed
        return case, None
    kept = {value for values in database.data.values() for value in values}
    own = [value for value in kept if draw_kept(strategy, value) == smallest]
    return smallest, min(own, key=lambda value: (len(value), value), default=None)


class _Ended(BaseException):
    """Ends a run of Hypothesis at once: no failure to it, which it would run again and shrink."""


class _Taken(Exception):
    """Is the failure that Hypothesis shrinks."""


def _generated(
    strategy: SearchStrategy[C],
    number: int,
    condition: Callable[[C], bool],
    phases: list[Phase],
    database: ExampleDatabase | None = None,
    small: list[C] | None = None,
) -> C | None:
    taken: list[C] = []
    put_aside: list[C] = [] if small is None else small

    # The settings stand above the seed, which would take the database from them.
    @_settings(phases, database)
    @seed(number)
    @given(strategy)
    def run(case: C) -> None:
        if len(put_aside) < _SMALL:
            put_aside.append(case)
            reject()
        if condition(case):
            taken.append(case)
            raise _Taken

    with contextlib.suppress(_Taken, Unsatisfiable):
        run()
    return taken[-1] if taken else None


def _reused(
    strategy: SearchStrategy[C],
    choices: bytes,
    condition: Callable[[C], bool],
    phases: list[Phase],
    database: InMemoryExampleDatabase | None = None,
) -> C | None:
    database = InMemoryExampleDatabase() if database is None else database
    database.save(_KEY, choices)
    kept = _settings(phases, database)
    try:
        return find(strategy, condition, settings=kept, database_key=_KEY)
    except (NoSuchExample, Unsatisfiable, SkipTest):
        return None


def _settings(phases: list[Phase], database: ExampleDatabase | None) -> settings:
    return settings(
        max_examples=_MOST_DRAWS,
        phases=phases,
        database=database,
        deadline=None,
        report_multiple_bugs=False,  # what ends a run is one error, and not a group of them
        derandomize=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
