"""One search: runs cases until one fails, or on, and makes the failing ones smaller (T1)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from hypothesis.strategies import SearchStrategy

from flaxlayer_testing.report.events import ShrinkTried, tell
from flaxlayer_testing.run.bugs import Bug
from flaxlayer_testing.run.case_reports import Hunt, Sighting
from flaxlayer_testing.run.case_stream import C, draw_smallest
from flaxlayer_testing.run.kept import KeptCases
from flaxlayer_testing.run.pool import Inline, Pool, Processes
from flaxlayer_testing.run.trial import LOST, Trial

__all__ = ["Limits", "Smallest", "run_search"]


@dataclass(frozen=True)
class Limits:
    """How far a search goes.

    Attributes:
        examples: The most cases.
        seed: The same cases for the same seed.
        workers: The number of processes.
        max_time: After so many seconds no further case is begun, and shrinking ends.
        continue_after_failure: Whether to go on after a failure.
        shrink: Whether failing cases are made smaller.
        tries: The most smaller cases to try for a bug, None for all.
    """

    examples: int
    seed: int = 0
    workers: int = 1
    max_time: float | None = None
    continue_after_failure: bool = False
    shrink: bool = True
    tries: int | None = None


@dataclass(frozen=True)
class Smallest(Generic[C]):
    """A bug that a search found.

    Attributes:
        case: The smallest case that shows it.
        bug: What its failures have in common.
        count: How many of the cases showed it.
    """

    case: C
    bug: Bug
    count: int


def run_search(
    trial: Trial[C], strategy: SearchStrategy[C], kept: KeptCases, limits: Limits
) -> tuple[Hunt[C], tuple[Smallest[C], ...]]:
    """Runs a search.

    Args:
        trial: What is asked of each case.
        strategy: Draws cases.
        kept: The failing cases of earlier searches, which are tried first.
        limits: How far to go.

    Returns:
        What was run, and each bug with its smallest case.

    Raises:
        LoadTargetError: If the layer cannot be sent to other processes.
        RunScenarioError: If the harness itself fails.
    """
    end = None if limits.max_time is None else time.monotonic() + limits.max_time
    pool: Pool[C] = Inline(trial) if limits.workers == 1 else Processes(trial, limits.workers)
    hunt = Hunt(trial, pool, limits.examples, end, keep_going=limits.continue_after_failure)
    try:
        hunt.run(strategy, limits.seed, kept.fetch(strategy, trial.names))
    finally:
        pool.close()
    return hunt, _Shrinking(hunt, strategy, limits, kept).bugs()


@dataclass
class _Shrinking(Generic[C]):
    """Finds the smallest case of each bug that a hunt has seen."""

    hunt: Hunt[C]
    strategy: SearchStrategy[C]
    limits: Limits
    kept: KeptCases

    def bugs(self) -> tuple[Smallest[C], ...]:
        """Returns the bugs, and keeps their cases for the next search."""
        for healed in self.hunt.healed:
            self.kept.forget(healed)
        found: list[Smallest[C]] = []
        for bug, seen in self.hunt.sightings.items():
            if bug.error == LOST:  # this process would end, too
                found.append(Smallest(seen.case, bug, seen.count))
                continue
            fails = self._fails(bug)
            small = (one.case for one in found if one.bug.error != LOST)
            case = next((case for case in small if fails(case)), None)
            if case is None:
                case = self._smallest(bug, seen, fails)
            found.append(Smallest(case, bug, seen.count))
        return tuple(found)

    def _smallest(self, bug: Bug, seen: Sighting[C], fails: Callable[[C], bool]) -> C:
        if not self.limits.shrink:
            return seen.case
        choices = None if seen.kept is None else seen.kept.choices
        case, smallest = draw_smallest(
            self.strategy,
            seen.case,
            fails,
            number=self.limits.seed,
            most=self.hunt.draws.distinct + self.hunt.draws.repeats,
            choices=choices,
            shrink=not self.hunt.late,
        )
        if smallest is not None:
            before = seen.kept
            if before is not None and before.check == bug.check and before.choices != smallest:
                self.kept.forget(before)
            self.kept.save(bug.check, smallest)
        return case

    def _fails(self, bug: Bug) -> Callable[[C], bool]:
        tries = 0

        def fails(case: C) -> bool:
            nonlocal tries
            if self.hunt.late or tries == self.limits.tries:
                return False
            tries += 1
            self.hunt.statistics.tries += 1
            tell(ShrinkTried(bug.check, self.hunt.statistics.tries))
            return self.hunt.trial.shows(case, bug)

        return fails
