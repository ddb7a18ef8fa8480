"""Collects the reports of a pytest session; only loaded when the plugin is asked for them (T8)."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flaxlayer_testing.errors import ReadRecordError, in_short
from flaxlayer_testing.report.events import listening
from flaxlayer_testing.report.page import write_page
from flaxlayer_testing.report.record import Record, Recorder
from flaxlayer_testing.report.report import Report
from flaxlayer_testing.stored import printable

__all__ = ["Collector"]

FIELD = "flaxlayer_record"
MOST_PROBLEMS = 10


class Collector:
    """A pytest plugin that is registered for one session.

    Each test's reports travel as JSON on its own test report, which pytest-xdist brings from a
    worker to the controller.

    Args:
        folder: Where to write.
        names: What the files are called: that of JSON, and the page.
        worker: Whether this process is a worker of pytest-xdist, which writes nothing.
    """

    def __init__(self, folder: Path, names: Sequence[str], *, worker: bool = False) -> None:
        self.folder = folder
        self.names = names
        self.place = folder.absolute()  # a test may go elsewhere
        self.worker = worker
        self.records: list[Record] = []
        self.problems: list[str] = []
        self.recorder = Recorder()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        """Listens while a test runs."""
        self.recorder = Recorder()
        with listening(self.recorder):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Generator[None, Any, Any]:
        """Puts the reports of a test on its test report, and the largest errors into JUnit's."""
        result = yield
        if call.when == "call" and self.recorder.reports:
            kept = _kept(self.recorder.reports, passed=result.passed)
            setattr(result, FIELD, Record(tuple(kept)).to_json())
            # On the item, as JUnit's XML takes them from the report of the teardown.
            item.user_properties.append(("flaxlayer_errors", json.dumps(_errors(kept))))
        return result

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keeps the reports that a test report carries."""
        text = getattr(report, FIELD, None)
        if text is not None and not self.worker:
            try:
                self.records.append(Record.from_json(text))
            except ReadRecordError as error:
                self.problems.append(f"the reports of a test could not be read: {error.found}")

    def pytest_sessionfinish(self, session: Any) -> None:
        """Writes the files; a session that cannot does not end as one that passed."""
        if self.worker:
            return
        try:
            self._write(Record.join(self.records))
        except OSError as error:
            self.problems.append(f"the reports could not be written: {in_short(error)}")
        if self.problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write(self, record: Record) -> None:
        # Moved to their place: no link that stands there is followed, and no pipe waited for.
        self.place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.place) as made:
            parts = [Path(made) / name for name in self.names]
            record.write(parts[0])
            write_page(record, parts[1])
            for part in parts:
                os.replace(part, self.place / part.name)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Says where the files are, and what became of what is not in them."""
        count, page = sum(len(part.reports) for part in self.records), self.folder / self.names[-1]
        lines = [f"{count} reports in {page}", *self.problems[:MOST_PROBLEMS]]
        left = len(self.problems) - MOST_PROBLEMS
        lines += [f"and {left} more of these"] if left > 0 else []
        for line in lines:
            terminalreporter.write_line(f"flaxlayer: {printable(line, instead='?')}")


def _kept(reports: list[Report], *, passed: bool) -> list[Report]:
    # A test that passes wanted its failing reports; Hypothesis ends with the smallest failure.
    failing = [] if passed else [report for report in reports if not report.ok][-1:]
    return [report for report in reports if report.ok] + failing


def _errors(reports: list[Report]) -> dict[str, float]:
    largest: dict[str, float] = {}
    for report in reports:
        for entry in report.entries:
            for dtype, error in entry.errors.items():
                largest[dtype] = max(error, largest.get(dtype, 0.0))
    return largest
