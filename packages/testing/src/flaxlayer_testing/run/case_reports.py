"""Runs a stream of cases, and takes their reports in the order of the stream (T1)."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic

from hypothesis.strategies import SearchStrategy

from flaxlayer_testing.errors import RunScenarioError
from flaxlayer_testing.report.events import ReportFinished, tell
from flaxlayer_testing.report.report import Report
from flaxlayer_testing.report.statistics import Ending, Statistics
from flaxlayer_testing.run.bugs import Bug, bug_of
from flaxlayer_testing.run.case_stream import C, Draws, draw_distinct
from flaxlayer_testing.run.kept import KeptCase
from flaxlayer_testing.run.pool import Pool
from flaxlayer_testing.run.trial import Trial

__all__ = ["Hunt", "Sighting"]


@dataclass
class Sighting(Generic[C]):
    """The first case that shows a bug, and how many do."""

    case: C
    kept: KeptCase[C] | None
    count: int = 0


class Hunt(Generic[C]):
    """Runs the cases of a stream, and takes their reports in the order in which they were drawn.

    So a search finds the same with any number of processes.
    """

    def __init__(
        self, trial: Trial[C], pool: Pool[C], examples: int, end: float | None, *, keep_going: bool
    ) -> None:
        self.trial, self.pool, self.examples, self.end = trial, pool, examples, end
        self.keep_going = keep_going
        self.pending: deque[tuple[C, KeptCase[C] | None, Future[Report]]] = deque()
        self.passed: list[Report] = []
        self.failed: list[Report] = []
        self.sightings: dict[Bug, Sighting[C]] = {}
        self.healed: list[KeptCase[C]] = []
        self.statistics = Statistics()
        self.draws = Draws()
        self.drawn = 0
        self.stumbled: RunScenarioError | None = None

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self.end is not None and time.monotonic() >= self.end

    def run(self, strategy: SearchStrategy[C], seed: int, kept: list[KeptCase[C]]) -> None:
        """Runs the kept cases, then those that are drawn.

        Raises:
            RunScenarioError: If the harness itself fails.
        """
        stopped = any(self._begin(one.case, one) for one in kept)
        if not stopped:
            self.draws = draw_distinct(strategy, seed, self._take, [one.case for one in kept])
        self._drain()
        if self.stumbled is not None:
            raise self.stumbled
        if self.draws.exhausted and self.statistics.ending is Ending.ASKED:
            self.statistics.ending = Ending.EXHAUSTED
        self.statistics.distinct = len(self.passed) + len(self.failed)
        self.statistics.repeats, self.statistics.kept = self.draws.repeats, len(kept)

    def _take(self, case: C) -> bool:
        self.drawn += 1
        return self._begin(case, None) or self.drawn >= self.examples

    def _begin(self, case: C, kept: KeptCase[C] | None) -> bool:
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
        try:
            report = self.pool.result(case, future)
        except RunScenarioError as error:  # raised in the midst of a draw, it would be drawn again
            self.stumbled = self.stumbled or error
            self.statistics.ending = Ending.FAILURE
            return True
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
