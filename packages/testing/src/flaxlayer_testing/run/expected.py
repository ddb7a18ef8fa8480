"""Known failures as data (T6)."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from flaxlayer_testing.checks import Check, GivenChecks, checks
from flaxlayer_testing.errors import SelectCheckError
from flaxlayer_testing.project import Project
from flaxlayer_testing.report.report import Entry, Report, Status
from flaxlayer_testing.run.naming import subject_name
from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "ExpectedFailure",
    "ExpectedFailures",
    "KnownCheck",
    "by_check",
    "excused",
    "known_of",
    "of_generated",
    "of_project",
    "refuse_idle",
]


@dataclass(frozen=True)
class ExpectedFailure:
    """A failure that is known.

    An entry that no longer describes what happens is itself a failure: if the check passes, is
    skipped, or fails with another error or message.

    Attributes:
        check: The check that fails.
        error: The name of the error's class.
        message: A part of its message.
        reason: Why it fails, and what is to be done about it.
        versions: The versions that it was seen with.

    Example:

    ```python
    >>> known = ExpectedFailure("check_sown", "KeyError", "intermediates", "sow is not kept yet")
    >>> known.describes(KeyError("intermediates"))
    True

    ```
    """

    check: str
    error: str
    message: str
    reason: str
    versions: tuple[str, ...] = ()

    def describes(self, error: Exception) -> bool:
        """Tells whether an error is the one that is known."""
        names = {kind.__name__ for kind in type(error).__mro__}
        return self.error in names and self.message in str(error)


GENERATED = "generated"
"""What the modules of a search are called, for the table of a project."""

ExpectedFailures = (
    Iterable[ExpectedFailure]
    | Mapping[str, Iterable[ExpectedFailure]]
    | Callable[[Subject], Iterable[ExpectedFailure]]
)
"""Known failures: of every subject; by a pattern of a subject's name; or by the subject itself."""


@dataclass(frozen=True)
class KnownCheck(Check):
    """A check with what it is known to fail with, on one subject.

    Attributes:
        known: The known failure.
    """

    known: ExpectedFailure | None = None


def known_of(expected: ExpectedFailures, subject: Subject) -> tuple[ExpectedFailure, ...]:
    """Returns the known failures of one subject.

    Args:
        expected: Known failures, in any of their forms.
        subject: The subject.

    Returns:
        Its own. The keys of a mapping are names or patterns (`"Net"`, `"*Block"`), of which any
        number may match.
    """
    if isinstance(expected, Mapping):
        name = subject_name(subject)
        parts = [part for key, part in expected.items() if fnmatch.fnmatchcase(name, key)]
        return tuple(entry for part in parts for entry in part)
    return tuple(expected(subject) if callable(expected) else expected)


def of_project(
    project: Project, *, kept: Container[str] | None = None
) -> Mapping[str, Sequence[ExpectedFailure]]:
    """Returns the known failures that a project's table sets.

    Args:
        project: The project.
        kept: Names of checks; others' failures are left out.

    Returns:
        They, by patterns of subjects' names.
    """
    known: dict[str, list[ExpectedFailure]] = {}
    for entry in project.expected_failures:
        if kept is None or entry.check in kept:
            failure = ExpectedFailure(entry.check, entry.error, entry.message, entry.reason)
            known.setdefault(entry.subject, []).append(failure)
    return known


def of_generated(project: Project, *, kept: Container[str]) -> tuple[ExpectedFailure, ...]:
    """Returns the known failures of generated modules that a project's table sets."""
    known = of_project(project, kept=kept)
    parts = [part for key, part in known.items() if fnmatch.fnmatchcase(GENERATED, key)]
    return tuple(entry for part in parts for entry in part)


def excused(report: Report, known: Sequence[ExpectedFailure]) -> Report:
    """Returns a report of a generated module, whose known failures are expected ones.

    A module that does not show one is no failure: another may.

    Args:
        report: The report.
        known: Known failures of generated modules, any number of a check.

    Returns:
        The report.
    """
    return replace(report, entries=tuple(_excused(entry, known) for entry in report.entries))


def _excused(entry: Entry, known: Sequence[ExpectedFailure]) -> Entry:
    for failure in known if entry.status is Status.FAILED else ():
        same = (failure.check, failure.error) == (entry.check, entry.error_type)
        if same and failure.message in entry.message:
            return replace(entry, status=Status.EXPECTED, message=failure.reason)
    return entry


def refuse_idle(expected: ExpectedFailures, subjects: Sequence[Subject]) -> None:
    """Refuses a mapping of known failures with a key that no subject has: it is stale.

    Args:
        expected: Known failures, in any of their forms.
        subjects: All subjects.

    Raises:
        SelectCheckError: If there is such a key.
    """
    names = sorted({subject_name(subject) for subject in subjects})
    keys = tuple(expected) if isinstance(expected, Mapping) else ()
    idle = [key for key in keys if not fnmatch.filter(names, key)]
    if idle:
        raise SelectCheckError(
            "There are expected failures of no subject.",
            expected="keys that are names or patterns of: " + ", ".join(names)[:500],
            found=", ".join(map(repr, idle))[:500],
            fix="Correct the key, or remove it: a known failure that cannot come about is stale.",
            law="T6",
        )


def by_check(
    expected: Iterable[ExpectedFailure], *, given: GivenChecks = ()
) -> dict[str, ExpectedFailure]:
    """Returns known failures by the name of their check.

    Args:
        expected: Known failures.
        given: Checks of others, which may fail, too.

    Returns:
        The same, by name.

    Raises:
        SelectCheckError: If one names no check, or two name the same.
    """
    known = tuple(expected)
    names = [entry.check for entry in known]
    if names:
        checks(only=map(glob.escape, names), given=given, slow=True)
    if len(set(names)) < len(names) or not all(entry.reason for entry in known):
        raise SelectCheckError(
            "The expected failures cannot be used.",
            expected="one entry for a check, each with a reason",
            found=", ".join(names),
            fix="Remove the other entries of the check, or state the reason.",
            law="T6",
        )
    return {entry.check: entry for entry in known}
