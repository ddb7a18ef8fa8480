"""Where cases are checked: in this process, or in several (T1)."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pickle
import signal
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import jax

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks import Check, checks
from flaxlayer_testing.errors import LoadTargetError, in_short
from flaxlayer_testing.report.events import CheckStarted, Event, listening
from flaxlayer_testing.report.report import Entry, Report, Status
from flaxlayer_testing.report.versions import versions
from flaxlayer_testing.run.expected import ExpectedFailure, excused
from flaxlayer_testing.run.naming import layer_name, module_name, replay_command
from flaxlayer_testing.run.running import run_report
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.layer import LayerFactory
from flaxlayer_testing.subject.subject import Subject

__all__ = ["LOST", "Inline", "Pool", "Processes", "Trial"]

LOST = "LostProcess"
"""The error of a case whose process ended while it was checked."""


@dataclass(frozen=True)
class Trial:
    """What is asked of each case.

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

    def report(self, case: Case) -> Report:
        """Runs the checks on a case."""
        subject = Subject.from_case(case, layer=self.layer)
        report = run_report(subject, only=self.names, given=self.chosen)
        return excused(report, self.known) if self.known else report


class Pool(Protocol):
    """Checks cases.

    Attributes:
        window: How many cases may wait for their reports.
        tells: Whether the listeners of this process are told what it finds.
    """

    window: int
    tells: bool

    def submit(self, case: Case) -> Future[Report]:
        """Begins to check a case."""

    def result(self, case: Case, future: Future[Report]) -> Report:
        """Waits for the report of a case."""

    def close(self) -> None:
        """Ends what still runs."""


class Inline:
    """Checks each case at once, in this process."""

    window = 1
    tells = True

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    def submit(self, case: Case) -> Future[Report]:
        """Checks a case."""
        future: Future[Report] = Future()
        future.set_result(self.trial.report(case))
        return future

    def result(self, case: Case, future: Future[Report]) -> Report:
        """Returns the report of a case."""
        return future.result()

    def close(self) -> None:
        """Has nothing to end."""


class Processes:
    """Checks cases in several processes that are started afresh.

    Args:
        trial: What is asked of each case; the layer must be importable.
        workers: How many processes.

    Raises:
        LoadTargetError: If another process cannot import the layer or the checks.
    """

    tells = False

    def __init__(self, trial: Trial, workers: int) -> None:
        self.trial = trial
        self.window = 2 * workers
        homes = tuple(dict.fromkeys(check.home for check in trial.chosen if not check.is_ours))
        self._arguments = (_pickled(trial.layer), trial.names, homes, trial.known, _x64())
        # A child decides on its backend when it imports Keras.
        os.environ["KERAS_BACKEND"] = current_backend().name
        self._executor = self._started(workers)
        self._current: set[Future[Report]] = set()  # what this executor has been given

    def _started(self, workers: int) -> ProcessPoolExecutor:
        spawned = multiprocessing.get_context("spawn")  # JAX's threads do not survive a fork
        return ProcessPoolExecutor(workers, spawned, _begin, self._arguments)

    def submit(self, case: Case) -> Future[Report]:
        """Sends a case to a process."""
        try:
            future = self._executor.submit(_check, case.to_json())
        except BrokenProcessPool:  # since the last case
            self._restart()
            future = self._executor.submit(_check, case.to_json())
        self._current.add(future)
        return future

    def result(self, case: Case, future: Future[Report]) -> Report:
        """Waits for the report of a case.

        Where a process died, each case that was under way is checked again, alone, so that the one
        it died of is known.
        """
        try:
            return future.result()
        except BrokenProcessPool:
            if future in self._current:
                self._restart()
            return self._alone(case)
        finally:
            self._current.discard(future)

    def _restart(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor, self._current = self._started(self.window // 2), set()

    def _alone(self, case: Case) -> Report:
        with self._started(1) as executor, tempfile.TemporaryDirectory() as folder:
            note = Path(folder) / "check"
            try:
                return executor.submit(_check_noting, case.to_json(), note).result()
            except BrokenProcessPool:
                begun = note.read_text(encoding="utf-8") if note.exists() else ""
                return self._lost(case, begun)

    def _lost(self, case: Case, begun: str) -> Report:
        chosen = self.trial.chosen
        check = next((check for check in chosen if check.name == begun), chosen[0])
        subject = Subject.from_case(case, layer=self.trial.layer)
        message = (
            "The process that ran it ended without a word.\n"
            "Expected: an outcome, or an error.\n"
            "Found: no process any more, as after a crash of compiled code or for lack of memory.\n"
            "Fix: run the line below, and watch its memory."
        )
        replay = replay_command(subject, check)
        entry = Entry(check.name, check.laws, Status.FAILED, message, LOST, replay=replay)
        name, layer = module_name(subject.module), layer_name(self.trial.layer)
        return Report(name, layer, (entry,), versions(), case.seed)

    def close(self) -> None:
        """Ends the processes once they have done what they are at."""
        self._executor.shutdown(cancel_futures=True)


def _pickled(layer: LayerFactory) -> bytes:
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


def _x64() -> bool:
    return bool(jax.config.read("jax_enable_x64"))


_TRIALS: list[Trial] = []


def _begin(
    layer: bytes,
    names: Sequence[str],
    homes: Sequence[str],
    known: tuple[ExpectedFailure, ...],
    x64: bool,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the search
    jax.config.update("jax_enable_x64", x64)
    given = [importlib.import_module(home) for home in homes]
    _TRIALS[:] = [Trial(pickle.loads(layer), checks(only=names, given=given), known)]


def _check_noting(case: str, note: Path) -> Report:
    def listener(event: Event) -> None:
        if isinstance(event, CheckStarted):
            note.write_text(event.check.name, encoding="utf-8")

    with listening(listener):
        return _check(case)


def _check(case: str) -> Report:
    return _TRIALS[0].report(Case.from_json(case))
