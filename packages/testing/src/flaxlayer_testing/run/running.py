"""Runs checks on a subject: one stream of events, from which every front end is made (T2, T8)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flaxlayer_testing.checks import Check, Errors, GivenChecks, Need, checks
from flaxlayer_testing.report.events import CheckFinished, CheckStarted, Event, ReportFinished, tell
from flaxlayer_testing.report.report import Entry, Report, Status
from flaxlayer_testing.report.versions import versions
from flaxlayer_testing.run.diagnosis import explain
from flaxlayer_testing.run.expected import ExpectedFailure, ExpectedFailures, by_check, known_of
from flaxlayer_testing.run.naming import layer_name, module_name, replay_command
from flaxlayer_testing.run.programs import failing_program
from flaxlayer_testing.run.raised_in import raised_in
from flaxlayer_testing.spec.typing import spec_traits
from flaxlayer_testing.subject.subject import Subject

__all__ = ["run_checks", "run_report"]


@dataclass(frozen=True)
class _Result:
    missing: Need | None = None
    error: Exception | None = None
    errors: Errors | None = None


def run_checks(
    subject: Subject,
    *,
    only: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    given: GivenChecks = (),
    expected_failures: ExpectedFailures = (),
    slow: bool = False,
) -> Iterator[Event]:
    """Runs checks one after the other.

    Args:
        subject: What to check.
        only: Names or patterns of checks; all if not given.
        exclude: Names or patterns of checks that do not run.
        given: Checks of others that run, too.
        expected_failures: Known failures.
        slow: Whether the checks that take long are among all.

    Yields:
        The beginning and the end of each check, as they come.

    Raises:
        SelectCheckError: If a check does not exist.
    """
    chosen = checks(only=only, exclude=exclude, given=given, slow=slow)
    known = by_check(known_of(expected_failures, subject), given=given)
    for check in chosen:
        yield CheckStarted(check)
        started = time.perf_counter()
        result = _run(check, subject)
        seconds = time.perf_counter() - started
        yield CheckFinished(_entry(check, subject, result, known.get(check.name), seconds))


def _run(check: Check, subject: Subject) -> _Result:
    try:
        missing = check.missing(subject)
        if missing is not None:
            return _Result(missing)
        return _Result(errors=check.function(subject))
    except Exception as error:  # whatever a layer raises is its failure
        return _Result(error=error)


def _entry(
    check: Check,
    subject: Subject,
    result: _Result,
    known: ExpectedFailure | None,
    seconds: float,
) -> Entry:
    if known is not None:
        return _known_entry(check, subject, result, known, seconds)
    if result.error is not None:
        return _failed(check, subject, result.error, seconds)
    if result.missing is not None:
        reason = result.missing.reason
        return Entry(check.name, check.laws, Status.SKIPPED, reason, seconds=seconds)
    errors = dict(result.errors or {})
    return Entry(check.name, check.laws, Status.PASSED, errors=errors, seconds=seconds)


def _known_entry(
    check: Check, subject: Subject, result: _Result, known: ExpectedFailure, seconds: float
) -> Entry:
    if result.error is not None and known.describes(result.error):
        kind = type(result.error).__name__
        return Entry(check.name, check.laws, Status.EXPECTED, known.reason, kind, seconds=seconds)
    found = f"it was skipped: {result.missing.reason}" if result.missing else "it passed"
    if result.error is not None:
        found = f"it failed with {type(result.error).__name__}: {result.error}"
    message = (
        f"The known failure {known.error} with {known.message!r} did not come about: {found}.\n"
        "Remove or correct its entry (T6)."
    )
    replay = replay_command(subject, check)
    return Entry(
        check.name, check.laws, Status.FAILED, message, "stale", seconds=seconds, replay=replay
    )


def _failed(check: Check, subject: Subject, error: Exception, seconds: float) -> Entry:
    return Entry(
        check.name,
        check.laws,
        Status.FAILED,
        explain(check, subject, error),
        type(error).__name__,
        seconds=seconds,
        replay=replay_command(subject, check),
        program=failing_program(subject, check.name),
        place=raised_in(error),
    )


def run_report(subject: Subject, **options: Any) -> Report:
    """Runs checks, tells who listens, and gathers what they found.

    Args:
        subject: What to check.
        **options: As for `run_checks`.

    Returns:
        The report.
    """
    entries: list[Entry] = []
    for event in run_checks(subject, **options):
        tell(event)
        if isinstance(event, CheckFinished):
            entries.append(event.entry)
    report = Report(
        subject=subject.name or _title(subject),
        layer=layer_name(subject.layer),
        entries=tuple(entries),
        versions=versions(),
        seed=subject.seed,
        features=_features(subject),
    )
    tell(ReportFinished(report))
    return report


def _features(subject: Subject) -> tuple[str, ...]:
    drawn = spec_traits(subject.case.spec).features if subject.case else ()
    return (*subject.features, *sorted(drawn))


def _title(subject: Subject) -> str:
    shapes: Mapping[str, None] = dict.fromkeys(
        f"{array.dtype}[{','.join(map(str, array.shape))}]" for array in subject.oracle.raw.arrays
    )
    return f"{module_name(subject.module)}({', '.join(shapes)})"
