"""Checks a stream of cases, and takes their reports in the order of the stream (T1)."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from hypothesis.strategies import SearchStrategy

from flaxlayer_testing.report.events import ReportFinished, tell
from flaxlayer_testing.report.report import Report
from flaxlayer_testing.report.statistics import Ending, Statistics
from flaxlayer_testing.run.bugs import Bug, bug_of
from flaxlayer_testing.run.case_stream import Draws, draw_distinct
from flaxlayer_testing.run.kept import KeptCase
from flaxlayer_testing.run.pool import Pool, Trial
from flaxlayer_testing.spec.spec import Case

__all__ = ["Hunt", "Sighting"]


@dataclass
class Sighting:
    """The first case that shows a bug, and how many do."""

    case: Case
    kept: KeptCase | None
    count: int = 0


class Hunt:
    """Checks the cases of a stream, and takes their reports in the order in which they were drawn.

    So a search finds the same with any number of processes.
    """

    def __init__(
        self, trial: Trial, pool: Pool, examples: int, end: float | None, *, keep_going: bool
    ) -> None:
        self.trial, self.pool, self.examples, self.end = trial, pool, examples, end
        self.keep_going = keep_going
        self.pending: deque[tuple[Case, KeptCase | None, Future[Report]]] = deque()
        self.passed: list[Report] = []
        self.failed: list[Report] = []
        self.sightings: dict[Bug, Sighting] = {}
        self.healed: list[KeptCase] = []
        self.statistics = Statistics()
        self.draws = Draws()
        self.drawn = 0

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self.end is not None and time.monotonic() >= self.end

    def run(self, strategy: SearchStrategy[Case], seed: int, kept: list[KeptCase]) -> None:
        """Checks the kept cases, then those that are drawn."""
        stopped = any(self._begin(one.case, one) for one in kept)
        if not stopped:
            self.draws = draw_distinct(strategy, seed, self._take, [one.case for one in kept])
        self._drain()
        if self.draws.exhausted and self.statistics.ending is Ending.ASKED:
            self.statistics.ending = Ending.EXHAUSTED
        self.statistics.distinct = len(self.passed) + len(self.failed)
        self.statistics.repeats, self.statistics.kept = self.draws.repeats, len(kept)

    def _take(self, case: Case) -> bool:
        self.drawn += 1
        return self._begin(case, None) or self.drawn >= self.examples

    def _begin(self, case: Case, kept: KeptCase | None) -> bool:
        if self.late:
            self.statistics.ending = Ending.TIME
            return True
        self.pending.append((case, kept, self.pool.submit(case)))
        return len(self.pending) >= self.pool.window and self._settle()

    def _drain(self) -> None:
        while self.pending:
            over = self.statistics.ending is Ending.FAILURE or self.late
            if over and self.pending[0][2].cancel():
                self.pending.popleft()
                if self.statistics.ending is not Ending.FAILURE:
                    self.statistics.ending = Ending.TIME
            elif self.statistics.ending is Ending.FAILURE:
                self.pending.popleft()  # it began, but no search with one process comes so far
            else:
                self._settle()

    def _settle(self) -> bool:
        """Takes the report of the case that has waited longest; tells whether to stop."""
        case, kept, future = self.pending.popleft()
        report = self.pool.result(case, future)
        if not self.pool.tells:
            tell(ReportFinished(report))
        (self.passed if report.ok else self.failed).append(report)
        shown = [bug_of(entry) for entry in report.failures]
        if kept is not None and kept.check not in {bug.check for bug in shown}:
            self.healed.append(kept)
        for bug in shown if self.keep_going else shown[:1]:
            self.sightings.setdefault(bug, Sighting(case, kept)).count += 1
        if report.ok or self.keep_going:
            return False
        self.statistics.ending = Ending.FAILURE
        return True
