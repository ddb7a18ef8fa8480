"""A layer through each scenario of a search, beside the laws as a model (T9)."""

from __future__ import annotations

import pickle
import re
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from flaxlayer_testing.errors import KeepLawError, RunScenarioError, in_short
from flaxlayer_testing.render.building import module_of
from flaxlayer_testing.report.events import ReportFinished, tell
from flaxlayer_testing.report.report import Entry, Report, Status
from flaxlayer_testing.report.versions import versions
from flaxlayer_testing.run.bugs import Bug, bug_of
from flaxlayer_testing.run.loading import load_checks
from flaxlayer_testing.run.module_trial import LOST_WORDS, ignore, pickled
from flaxlayer_testing.run.naming import environment, layer_name, module_name
from flaxlayer_testing.run.raised_in import raised_in
from flaxlayer_testing.run.trial import LOST, Recipe
from flaxlayer_testing.scenario.course import run_scenario
from flaxlayer_testing.scenario.layer_settings import SETTINGS
from flaxlayer_testing.scenario.places import SURROUNDINGS
from flaxlayer_testing.scenario.scenario import Scenario
from flaxlayer_testing.scenario.scenario_program import scenario_program
from flaxlayer_testing.scenario.steps import STEPS
from flaxlayer_testing.subject.layer import LayerFactory

__all__ = ["PARTS", "ScenarioTrial"]

_STEP = re.compile(r"step \d+, (\w+)\(")
_OUTSIDE = {"the build": "build", "the end": "end"}

PARTS = (
    *(f"setting {name}" for name in SETTINGS),
    *(f"surrounding {name}" for name in SURROUNDINGS),
)
"""What a scenario has beside its steps, as reports name it."""


@dataclass(frozen=True)
class ScenarioTrial:
    """Runs a layer through scenarios.

    Attributes:
        layer: Makes the layer under test.
        homes: Modules with steps of the user's own.
        keep_going: Whether what fails in the harness itself is one failure among others.
    """

    layer: LayerFactory
    homes: tuple[str, ...] = ()
    keep_going: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the steps, and of what stands before and behind them."""
        return (*_OUTSIDE.values(), *STEPS)

    def report(self, case: Scenario, begin: Callable[[str], None] = ignore) -> Report:
        """Runs a scenario, and tells who listens."""
        report = self.run(case, begin)
        tell(ReportFinished(report))
        return report

    def run(self, case: Scenario, begin: Callable[[str], None] = ignore) -> Report:
        """Runs a scenario; there is an entry for each step that was taken, or for the failure.

        Raises:
            RunScenarioError: If the harness itself fails, and that ends the search.
        """
        started = time.perf_counter()
        try:
            trace = run_scenario(case, self.layer, begin)
        except (KeepLawError, RunScenarioError) as error:
            if isinstance(error, RunScenarioError) and not self.keep_going:
                raise
            seconds = time.perf_counter() - started
            return self._report(case, (self._failed(case, error, seconds),), ())
        each = (time.perf_counter() - started) / max(len(trace.steps), 1)
        entries = (
            Entry(name, STEPS[name].laws, Status.PASSED, seconds=each) for name in trace.steps
        )
        settings = (f"setting {name}" for name in trace.settings)
        return self._report(case, tuple(entries), (*settings, f"surrounding {trace.surrounding}"))

    def run_printed(self, case: Scenario) -> Report:
        """Runs a scenario; its failure holds a program that fails in the same way, if there is one.

        Args:
            case: A scenario, run a second time where it fails.
        """
        report = self.run(case)
        if report.ok:
            return report
        program = self._program(case)
        entries = (replace(entry, program=program) for entry in report.entries)
        return replace(report, entries=tuple(entries))

    def _program(self, case: Scenario) -> str:
        try:
            return scenario_program(case, self.layer)
        except Exception as error:  # what was found is worth more than its program
            return f"# It cannot be printed: {in_short(error)}"

    def _report(self, case: Scenario, entries: tuple[Entry, ...], parts: Sequence[str]) -> Report:
        name, layer = module_name(module_of(case.case)), layer_name(self.layer)
        return Report(name, layer, entries, versions(), case.case.seed, tuple(parts))

    def _failed(
        self, case: Scenario, error: KeepLawError | RunScenarioError, seconds: float
    ) -> Entry:
        where, _, what = str(error).partition(": ")
        found = _STEP.match(where)
        name = found.group(1) if found else _OUTSIDE.get(where, "build")
        cause = error.__cause__ if isinstance(error, KeepLawError) else None
        return Entry(
            name,
            tuple(error.law.split(", ")),
            Status.FAILED,
            f"{what}\n\n{case.in_words(where)}",
            type(cause or error).__name__,
            seconds=seconds,
            replay=self._replay(case),
            place=raised_in(cause) if cause else "",
        )

    def _replay(self, case: Scenario) -> str:
        words = ["--layer", layer_name(self.layer)]
        words += [word for home in self.homes for word in ("--steps", home)]
        command = ["python", "-m", "flaxlayer_testing.run.replay", *words, "--scenario"]
        return shlex.join([*environment(), *command, case.to_json()])

    def shows(self, case: Scenario, bug: Bug) -> bool:
        """Tells whether a scenario shows a bug."""
        return bug in map(bug_of, self.run(case).failures)

    def lost(self, case: Scenario, begun: str) -> Report:
        """Returns the report of a scenario whose process ended in a step."""
        laws = STEPS[begun].laws if begun in STEPS else ("B2",)
        message = f"{LOST_WORDS}\n\n{case.in_words(begun)}"
        entry = Entry(begun or "build", laws, Status.FAILED, message, LOST)
        return self._report(case, (entry,), ())

    def recipe(self) -> Recipe:
        """Returns what makes the same in another process."""
        return make_scenario_trial, (pickled(self.layer), self.homes, self.keep_going)

    def read(self, text: str) -> Scenario:
        """Reads the JSON of a scenario."""
        return Scenario.from_json(text)

    def written(self, case: Scenario) -> str:
        """Returns the JSON of a scenario."""
        return case.to_json()


def make_scenario_trial(layer: bytes, homes: tuple[str, ...], keep_going: bool) -> ScenarioTrial:
    """Makes a trial in another process, of what `recipe` gave."""
    for home in homes:
        load_checks(home)
    return ScenarioTrial(pickle.loads(layer), homes, keep_going)
