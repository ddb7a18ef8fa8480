"""Checks on the module of each case of a search (T1)."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flaxlayer_testing.checks import Check, checks
from flaxlayer_testing.errors import LoadTargetError, in_short
from flaxlayer_testing.report.events import CheckFinished, CheckStarted, Event, listening
from flaxlayer_testing.report.report import Entry, Report, Status
from flaxlayer_testing.report.versions import versions
from flaxlayer_testing.run.bugs import Bug, bug_of
from flaxlayer_testing.run.expected import ExpectedFailure, excused
from flaxlayer_testing.run.naming import layer_name, module_name, replay_command
from flaxlayer_testing.run.running import run_checks, run_report
from flaxlayer_testing.run.trial import LOST, Recipe
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.layer import LayerFactory
from flaxlayer_testing.subject.subject import Subject

__all__ = ["LOST_WORDS", "ModuleTrial", "pickled"]

LOST_WORDS = (
    "The process that ran it ended without a word.\n"
    "Expected: an outcome, or an error.\n"
    "Found: no process any more, as after a crash of compiled code or for lack of memory.\n"
    "Fix: run the line below, and watch its memory."
)


def ignore(name: str) -> None:
    """Is told what begins, and does nothing."""


@dataclass(frozen=True)
class ModuleTrial:
    """Runs checks on the module of a case.

    Attributes:
        layer: Makes the layer under test.
        chosen: The checks.
        known: Known failures of generated modules.
    """

    layer: LayerFactory
    chosen: tuple[Check, ...]
    known: tuple[ExpectedFailure, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the checks."""
        return tuple(check.name for check in self.chosen)

    def report(self, case: Case, begin: Callable[[str], None] = ignore) -> Report:
        """Runs the checks on a case."""

        def listener(event: Event) -> None:
            if isinstance(event, CheckStarted):
                begin(event.check.name)

        subject = Subject.from_case(case, layer=self.layer)
        with listening(listener):
            report = run_report(subject, only=self.names, given=self.chosen)
        return excused(report, self.known) if self.known else report

    def shows(self, case: Case, bug: Bug) -> bool:
        """Tells whether a case shows a bug: its check alone is run."""
        subject = Subject.from_case(case, layer=self.layer)
        given = [check for check in self.chosen if check.name == bug.check]
        events = run_checks(subject, only=[bug.check], given=given)
        entries = [event.entry for event in events if isinstance(event, CheckFinished)]
        return bug in [bug_of(entry) for entry in entries if entry.status is Status.FAILED]

    def lost(self, case: Case, begun: str) -> Report:
        """Returns the report of a case whose process ended in a check."""
        check = next((check for check in self.chosen if check.name == begun), self.chosen[0])
        subject = Subject.from_case(case, layer=self.layer)
        replay = replay_command(subject, check)
        entry = Entry(check.name, check.laws, Status.FAILED, LOST_WORDS, LOST, replay=replay)
        name, layer = module_name(subject.module), layer_name(self.layer)
        return Report(name, layer, (entry,), versions(), case.seed)

    def recipe(self) -> Recipe:
        """Returns what makes the same in another process."""
        homes = tuple(dict.fromkeys(check.home for check in self.chosen if not check.is_ours))
        return make_module_trial, (pickled(self.layer), self.names, homes, self.known)

    def read(self, text: str) -> Case:
        """Reads the JSON of a case."""
        return Case.from_json(text)

    def written(self, case: Case) -> str:
        """Returns the JSON of a case."""
        return case.to_json()


def make_module_trial(
    layer: bytes, names: Sequence[str], homes: Sequence[str], known: tuple[ExpectedFailure, ...]
) -> ModuleTrial:
    """Makes a trial in another process, of what `recipe` gave."""
    given = [importlib.import_module(home) for home in homes]
    return ModuleTrial(pickle.loads(layer), checks(only=names, given=given), known)


def pickled(layer: LayerFactory) -> bytes:
    """Returns a layer as bytes that another process can read.

    Raises:
        LoadTargetError: If it cannot be imported there.
    """
    try:
        return pickle.dumps(layer)
    except Exception as error:  # whatever pickling a factory raises
        raise LoadTargetError(
            f"{layer_name(layer)[:200]} cannot be sent to other processes.",
            expected="a layer that can be imported by its name",
            found=in_short(error),
            fix="Put it at the top of a module, or search with one worker.",
            law="T1",
        ) from error
