"""Runs an entry of the field: the checks that apply, and the scenario as one more (T12)."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras

from conformance.field.entry import SCENARIO, Published
from conformance.field.scenario import Use
from flaxlayer_testing import Entry, Report, ReportFinished, Status, run_report
from flaxlayer_testing.report.events import tell
from flaxlayer_testing.report.versions import versions

__all__ = ["check", "use"]

LAWS = ("T12", "K1", "C5", "S2", "S4")


def check(entry: Published) -> Report:
    """Returns the report of all checks of an entry."""
    known = [failure for failure in _known(entry) if failure.check != SCENARIO]
    return run_report(entry.subject(), expected_failures=known)


def use(entry: Published, scenario: Callable[[Published], None] | None = None) -> Report:
    """Returns the report of the scenario of an entry.

    Args:
        entry: The module.
        scenario: What is run; the scenario of the field if not given.
    """
    started = time.perf_counter()
    found = _outcome(entry, scenario or (lambda entry: Use(entry).run()))
    seconds = time.perf_counter() - started
    replay = f"KERAS_BACKEND={keras.backend.backend()} ./dev field -k '{entry.ident}'"
    outcome = Entry(SCENARIO, LAWS, *found, seconds=seconds, replay=replay)
    name = f"{entry.title} (in use)"
    report = Report(name, "flaxlayer:FlaxLayer", (outcome,), versions(), features=(entry.domain,))
    tell(ReportFinished(report))
    return report


def _known(entry: Published) -> tuple:
    return entry.known_on(keras.backend.backend())


def _outcome(entry: Published, scenario: Callable[[Published], None]) -> tuple[Status, str, str]:
    """How the scenario ended, with a message and the class of an error (T6)."""
    known = next((failure for failure in _known(entry) if failure.check == SCENARIO), None)
    try:
        scenario(entry)
    except Exception as error:  # whatever a layer raises is its failure
        kind = type(error).__name__
        if known is None:
            return Status.FAILED, str(error), kind
        if known.describes(error):
            return Status.EXPECTED, known.reason, kind
        found = f"it failed with {kind}: {error}"
    else:
        if known is None:
            return Status.PASSED, "", ""
        found = "it passed"
    message = (
        f"The known failure {known.error} with {known.message!r} did not come about: {found}.\n"
        "Remove or correct its entry (T6)."
    )
    return Status.FAILED, message, "stale"
