"""Where cases are run: in this process, or in several (T1)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Hashable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import jax

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.errors import RunScenarioError
from flaxlayer_testing.report.report import Report
from flaxlayer_testing.run.case_stream import C
from flaxlayer_testing.run.trial import Recipe, Trial

_CASES_EACH = 300

K = TypeVar("K", bound=Hashable, contravariant=True)

__all__ = ["Inline", "Pool", "Processes"]


class Pool(Protocol[K]):
    """Runs cases.

    Attributes:
        window: How many cases may wait for their reports.
        tells: Whether the listeners of this process are told what it finds.
    """

    window: int
    tells: bool

    def submit(self, case: K) -> Future[Report]:
        """Begins to run a case."""

    def result(self, case: K, future: Future[Report]) -> Report:
        """Waits for the report of a case."""

    def close(self) -> None:
        """Ends what still runs."""


class Inline(Generic[C]):
    """Runs each case at once, in this process."""

    window = 1
    tells = True

    def __init__(self, trial: Trial[C]) -> None:
        self.trial = trial

    def submit(self, case: C) -> Future[Report]:
        """Runs a case."""
        future: Future[Report] = Future()
        try:
            future.set_result(self.trial.report(case))
        except RunScenarioError as error:
            future.set_exception(error)
        return future

    def result(self, case: C, future: Future[Report]) -> Report:
        """Returns the report of a case."""
        return future.result()

    def close(self) -> None:
        """Has nothing to end."""


class Processes(Generic[C]):
    """Runs cases in several processes that are started afresh.

    Args:
        trial: What is asked of each case; the layer must be importable.
        workers: How many processes.
        cases_each: How many cases a process runs before another takes its place: JAX keeps some
            megabytes of each program that it has traced.

    Raises:
        LoadTargetError: If another process cannot import the layer or the checks.
    """

    tells = False

    def __init__(self, trial: Trial[C], workers: int, *, cases_each: int = _CASES_EACH) -> None:
        self.trial = trial
        self.window = 2 * workers
        self._most, self._given = cases_each * workers, 0
        self._arguments = (trial.recipe(), _x64())
        # A child decides on its backend when it imports Keras.
        os.environ["KERAS_BACKEND"] = current_backend().name
        self._executor = self._started(workers)
        self._current: set[Future[Report]] = set()  # what this executor has been given

    def _started(self, workers: int) -> ProcessPoolExecutor:
        spawned = multiprocessing.get_context("spawn")  # JAX's threads do not survive a fork
        return ProcessPoolExecutor(workers, spawned, _begin, self._arguments)

    def submit(self, case: C) -> Future[Report]:
        """Sends a case to a process."""
        if self._given == self._most:
            self._renew()
        self._given += 1
        try:
            future = self._executor.submit(_run, self.trial.written(case))
        except BrokenProcessPool:  # since the last case
            self._restart()
            future = self._executor.submit(_run, self.trial.written(case))
        self._current.add(future)
        return future

    def result(self, case: C, future: Future[Report]) -> Report:
        """Waits for the report of a case.

        Where a process died, each case that was under way is run again, alone, so that the one
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
        self._replace()

    def _renew(self) -> None:
        self._executor.shutdown(wait=False)  # once they have run what they were given
        self._replace()

    def _replace(self) -> None:
        self._executor, self._current = self._started(self.window // 2), set()
        self._given = 0

    def _alone(self, case: C) -> Report:
        with self._started(1) as executor, tempfile.TemporaryDirectory() as folder:
            note = Path(folder) / "check"
            try:
                return executor.submit(_run_noting, self.trial.written(case), note).result()
            except BrokenProcessPool:
                begun = note.read_text(encoding="utf-8") if note.exists() else ""
                return self.trial.lost(case, begun)

    def close(self) -> None:
        """Ends the processes once they have done what they are at."""
        self._executor.shutdown(cancel_futures=True)


def _x64() -> bool:
    return bool(jax.config.read("jax_enable_x64"))


_TRIALS: list[Trial[Any]] = []


def _begin(recipe: Recipe, x64: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the search
    jax.config.update("jax_enable_x64", x64)
    make, arguments = recipe
    _TRIALS[:] = [make(*arguments)]


def _run_noting(case: str, note: Path) -> Report:
    trial = _TRIALS[0]
    return trial.report(trial.read(case), lambda name: _write(note, name))


def _write(note: Path, name: str) -> None:
    note.write_text(name, encoding="utf-8")


def _run(case: str) -> Report:
    return _TRIALS[0].report(_TRIALS[0].read(case))
