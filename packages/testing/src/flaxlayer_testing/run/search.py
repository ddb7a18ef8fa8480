"""Searches generated modules for those that a layer fails (T1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hypothesis import settings as hypothesis_settings
from hypothesis.database import ExampleDatabase, InMemoryExampleDatabase

from flaxlayer import FlaxLayer
from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks import GivenChecks, checks
from flaxlayer_testing.generate.strategies import cases_of
from flaxlayer_testing.run.bugs import Bug
from flaxlayer_testing.run.expected import ExpectedFailure
from flaxlayer_testing.run.failure import Failure
from flaxlayer_testing.run.kept import KeptCases
from flaxlayer_testing.run.module_trial import ModuleTrial
from flaxlayer_testing.run.naming import layer_name
from flaxlayer_testing.run.search_outcome import SearchOutcome
from flaxlayer_testing.run.shrinking import Limits, run_search
from flaxlayer_testing.spec.spec import Framework
from flaxlayer_testing.subject.layer import LayerFactory

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
class SearchResult(SearchOutcome[Found]):
    """What a search of modules found."""

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
    trial = ModuleTrial(layer, chosen, tuple(expected_failures))
    strategy = cases_of(framework, features=features, without=without)
    same = (current_backend().name, layer_name(layer), framework)
    if database is None:
        database = InMemoryExampleDatabase()
    kept = KeptCases(database, (*same, *sorted(features), "without", *sorted(without)))
    limits = Limits(examples, seed, workers, max_time, continue_after_failure)
    hunt, smallest = run_search(trial, strategy, kept, limits)
    bugs = tuple(
        Found(Failure(one.case, one.bug.check, layer_name(layer)), one.bug, one.count)
        for one in smallest
    )
    return SearchResult(tuple(hunt.passed), bugs, tuple(hunt.failed), hunt.statistics)


def default_database() -> ExampleDatabase | None:
    """Returns the example database of Hypothesis's profile, none under CI."""
    return hypothesis_settings().database
