"""Searches generated scenarios for those in which a layer breaks a law (T9)."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis.database import ExampleDatabase, InMemoryExampleDatabase

from flaxlayer import FlaxLayer
from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.report.report import Report
from flaxlayer_testing.run.broken_law import BrokenLaw
from flaxlayer_testing.run.bugs import Bug
from flaxlayer_testing.run.kept import KeptCases
from flaxlayer_testing.run.naming import layer_name
from flaxlayer_testing.run.scenario_trial import ScenarioTrial
from flaxlayer_testing.run.search_outcome import SearchOutcome
from flaxlayer_testing.run.shrinking import Limits, run_search
from flaxlayer_testing.run.trial import LOST
from flaxlayer_testing.scenario.drawn_scenarios import scenarios
from flaxlayer_testing.spec.spec import Framework
from flaxlayer_testing.subject.layer import LayerFactory

__all__ = ["FoundLaw", "ScenarioSearch", "search_scenarios"]

# The most smaller scenarios to try for one bug: each takes a second.
_TRIES = 300


@dataclass(frozen=True)
class FoundLaw:
    """A bug that a search found.

    Attributes:
        broken: The smallest scenario that shows it.
        report: What that scenario shows.
        bug: What its failures have in common.
        count: How many of the scenarios showed it.
    """

    broken: BrokenLaw
    report: Report
    bug: Bug
    count: int = 1


@dataclass(frozen=True)
class ScenarioSearch(SearchOutcome[FoundLaw]):
    """What a search of scenarios found."""

    @property
    def found(self) -> BrokenLaw | None:
        """The smallest scenario of the first bug, if any."""
        return self.bugs[0].broken if self.bugs else None


def search_scenarios(
    *,
    budget: int = 100,
    seed: int = 0,
    layer: LayerFactory = FlaxLayer,
    framework: Framework = "linen",
    steps: tuple[str, ...] = (),
    shrink: bool = True,
    workers: int = 1,
    max_time: float | None = None,
    continue_after_failure: bool = False,
    database: ExampleDatabase | None = None,
) -> ScenarioSearch:
    """Runs generated scenarios, all of them different, and shrinks those in which a law breaks.

    Args:
        budget: The most scenarios to run.
        seed: The same scenarios for the same seed, whatever the other numbers.
        layer: Makes the layer under test.
        framework: What the modules are of: `"linen"` or `"nnx"`.
        steps: Names of Python modules, imported here already, with steps of your own.
        shrink: Whether failures are made smaller.
        workers: The number of processes; the layer must be importable where there are several.
        max_time: After so many seconds no further scenario is begun, and shrinking ends.
        continue_after_failure: Whether to go on after a failure, and tell distinct bugs apart.
        database: Where failing scenarios are kept, to be tried first in the next search with the
            same settings.

    Returns:
        What was run, and each bug with its smallest scenario.

    Raises:
        LoadTargetError: If the layer cannot be sent to other processes.
        RunScenarioError: If the harness itself fails; with `continue_after_failure` that is a
            bug of its own, whose error has this name.

    Example:

    ```python
    >>> search_scenarios(budget=2).found is None
    True

    ```
    """
    trial = ScenarioTrial(layer, steps, continue_after_failure)
    if database is None:
        database = InMemoryExampleDatabase()
    same = ("scenarios", current_backend().name, layer_name(layer), framework, *steps)
    limits = Limits(budget, seed, workers, max_time, continue_after_failure, shrink, _TRIES)
    strategy = scenarios(framework=framework)
    hunt, smallest = run_search(trial, strategy, KeptCases(database, same), limits)
    bugs = []
    for one in smallest:
        if one.bug.error == LOST:  # run again, it would end this process, too
            report = trial.lost(one.case, one.bug.check)
        else:
            report = trial.run_printed(one.case)
        message = next((entry.message for entry in report.failures), one.bug.shape)
        bugs.append(FoundLaw(BrokenLaw(one.case, message), report, one.bug, one.count))
    return ScenarioSearch(tuple(hunt.passed), tuple(bugs), tuple(hunt.failed), hunt.statistics)
