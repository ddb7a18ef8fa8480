"""Searches generated modules for those that a layer fails (T1)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from hypothesis import settings as hypothesis_settings
from hypothesis.database import ExampleDatabase, InMemoryExampleDatabase
from hypothesis.strategies import SearchStrategy

from flaxlayer import FlaxLayer
from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks import Check, GivenChecks, checks
from flaxlayer_testing.generate.strategies import cases_of
from flaxlayer_testing.report.events import CheckFinished, ShrinkTried, tell
from flaxlayer_testing.report.report import Report
from flaxlayer_testing.report.statistics import Statistics
from flaxlayer_testing.run.bugs import Bug, bug_of
from flaxlayer_testing.run.case_reports import Hunt, Sighting
from flaxlayer_testing.run.case_stream import draw_smallest
from flaxlayer_testing.run.expected import ExpectedFailure
from flaxlayer_testing.run.failure import Failure
from flaxlayer_testing.run.kept import KeptCases
from flaxlayer_testing.run.naming import layer_name
from flaxlayer_testing.run.pool import LOST, Inline, Pool, Processes, Trial
from flaxlayer_testing.run.running import run_checks
from flaxlayer_testing.spec.spec import Case, Framework
from flaxlayer_testing.subject.layer import LayerFactory
from flaxlayer_testing.subject.subject import Subject

__all__ = ["Found", "SearchResult", "default_database", "search"]


@dataclass(frozen=True)
class Found:
    """A bug that a search found.

    Attributes:
        failure: The smallest case that shows it.
        bug: What its failures have in common.
        count: How many of the cases showed it.
    """

    failure: Failure
    bug: Bug
    count: int = 1


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        reports: Those of the modules that passed.
        bugs: The bugs, in the order in which they were found.
        failed: The reports of the modules that failed, as they were drawn.
        statistics: What was drawn, and how the search ended.
    """

    reports: tuple[Report, ...]
    bugs: tuple[Found, ...] = ()
    failed: tuple[Report, ...] = ()
    statistics: Statistics = field(default_factory=Statistics)

    @property
    def failure(self) -> Failure | None:
        """The smallest case of the first bug, if any."""
        return self.bugs[0].failure if self.bugs else None


def search(
    *,
    examples: int = 100,
    seed: int = 0,
    layer: LayerFactory = FlaxLayer,
    only: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    given: GivenChecks = (),
    slow: bool = False,
    framework: Framework = "linen",
    features: Collection[str] = (),
    without: Collection[str] = (),
    workers: int = 1,
    max_time: float | None = None,
    continue_after_failure: bool = False,
    database: ExampleDatabase | None = None,
    expected_failures: Iterable[ExpectedFailure] = (),
) -> SearchResult:
    """Checks generated modules, all of them different, and shrinks those that fail.

    Args:
        examples: The most modules to generate.
        seed: The same modules for the same seed, whatever the other numbers.
        layer: Makes the layer under test.
        only: Names or patterns of checks; all if not given.
        exclude: Names or patterns of checks that do not run.
        given: Checks of others that run, too.
        slow: Whether checks that take long are among all.
        framework: What the modules are of: `"linen"` or `"nnx"`.
        features: Features that every module shows.
        without: Features that no module shows.
        workers: The number of processes; the layer must be importable where there are several.
        max_time: After so many seconds no further module is begun, and shrinking ends.
        continue_after_failure: Whether to go on after a failure, and tell distinct bugs apart.
        database: Where failing cases are kept, to be tried first in the next search with the same
            settings; `hypothesis.settings().database` is Hypothesis's own.
        expected_failures: Known failures, which end nothing. A module that does not show them is
            no failure, as another may.

    Returns:
        The reports of what passed, and each bug with its smallest case.

    Raises:
        SelectCheckError: If a check does not exist.
        ReadSpecError: If a feature does not exist.
        LoadTargetError: If the layer cannot be sent to other processes.

    Example:

    ```python
    >>> result = search(examples=2, only=["check_seed"])
    >>> result.failure is None, result.statistics.distinct
    (True, 2)

    ```
    """
    chosen = checks(only=only, exclude=exclude, given=given, slow=slow)
    trial = Trial(layer, chosen, tuple(expected_failures))
    strategy = cases_of(framework, features=features, without=without)
    same = (current_backend().name, layer_name(layer), framework)
    if database is None:
        database = InMemoryExampleDatabase()
    kept = KeptCases(database, (*same, *sorted(features), "without", *sorted(without)))
    end = None if max_time is None else time.monotonic() + max_time
    pool: Pool = Inline(trial) if workers == 1 else Processes(trial, workers)
    hunt = Hunt(trial, pool, examples, end, keep_going=continue_after_failure)
    try:
        hunt.run(strategy, seed, kept.fetch(strategy, trial.names))
    finally:
        pool.close()
    bugs = _Shrinking(hunt, strategy, seed, kept).bugs()
    return SearchResult(tuple(hunt.passed), bugs, tuple(hunt.failed), hunt.statistics)


def default_database() -> ExampleDatabase | None:
    """Returns the example database of Hypothesis's profile, none under CI."""
    return hypothesis_settings().database


class _Shrinking:
    """Finds the smallest case of each bug that a hunt has seen."""

    def __init__(
        self, hunt: Hunt, strategy: SearchStrategy[Case], seed: int, kept: KeptCases
    ) -> None:
        self.hunt, self.strategy, self.seed, self.kept = hunt, strategy, seed, kept

    def bugs(self) -> tuple[Found, ...]:
        """Returns the bugs, and keeps their cases for the next search."""
        for healed in self.hunt.healed:
            self.kept.forget(healed)
        found: list[Found] = []
        layer = layer_name(self.hunt.trial.layer)
        for bug, seen in self.hunt.sightings.items():
            if bug.error == LOST:  # this process would end, too
                found.append(Found(Failure(seen.case, bug.check, layer), bug, seen.count))
                continue
            fails = self._fails(bug)
            small = (one.failure.case for one in found if one.bug.error != LOST)
            case = next((case for case in small if fails(case)), None)
            if case is None:
                case = self._smallest(bug, seen, fails)
            found.append(Found(Failure(case, bug.check, layer), bug, seen.count))
        return tuple(found)

    def _smallest(self, bug: Bug, seen: Sighting, fails: Callable[[Case], bool]) -> Case:
        choices = None if seen.kept is None else seen.kept.choices
        case, smallest = draw_smallest(
            self.strategy,
            seen.case,
            fails,
            number=self.seed,
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

    def _fails(self, bug: Bug) -> Callable[[Case], bool]:
        trial = self.hunt.trial
        (check,) = (check for check in trial.chosen if check.name == bug.check)

        def fails(case: Case) -> bool:
            if self.hunt.late:
                return False
            self.hunt.statistics.tries += 1
            tell(ShrinkTried(check, self.hunt.statistics.tries))
            return bug in _shown(Subject.from_case(case, layer=trial.layer), check)

        return fails


def _shown(subject: Subject, check: Check) -> list[Bug]:
    events = run_checks(subject, only=[check.name], given=[check])
    entries = [event.entry for event in events if isinstance(event, CheckFinished)]
    return [bug_of(entry) for entry in entries if entry.status == "failed"]
