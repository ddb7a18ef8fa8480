"""Tables of what was found, by layer and version: rows are checks, or features of modules (T8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from flaxlayer_testing.report.report import Report, Status

__all__ = ["Cell", "Column", "Matrix", "by_check", "by_feature"]


@dataclass(frozen=True)
class Column:
    """A layer under versions.

    Attributes:
        layer: The layer.
        versions: Name and version of what took part.
    """

    layer: str
    versions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, report: Report) -> Column:
        """Returns the column of a report."""
        return cls(report.layer, tuple(report.versions.items()))

    @property
    def label(self) -> str:
        """The versions that matter most, as text."""
        wanted = ("keras", "jax", "flax")
        return ", ".join(f"{name} {found}" for name, found in self.versions if name in wanted)


@dataclass(frozen=True)
class Cell:
    """How often something ended in which way.

    Attributes:
        counts: The number of each status.
    """

    counts: Mapping[Status, int]

    @property
    def ran(self) -> int:
        """How many were not skipped."""
        return sum(count for status, count in self.counts.items() if status is not Status.SKIPPED)

    @property
    def state(self) -> str:
        """The worst status: `"failed"`, `"known"`, `"passed"`, `"skipped"` or `"none"`."""
        names = {
            Status.FAILED: "failed",
            Status.EXPECTED: "known",
            Status.PASSED: "passed",
            Status.SKIPPED: "skipped",
        }
        return next((name for status, name in names.items() if self.counts.get(status)), "none")

    @property
    def text(self) -> str:
        """How many of how many passed."""
        passed = self.counts.get(Status.PASSED, 0)
        if not self.ran:
            return "skipped" if self.counts else "-"
        return str(passed) if passed == self.ran else f"{passed} of {self.ran}"

    @property
    def title(self) -> str:
        """All counts."""
        return ", ".join(f"{count} {status}" for status, count in self.counts.items())


@dataclass(frozen=True)
class Matrix:
    """A table.

    Attributes:
        columns: A layer under versions each.
        rows: A name, a note, and a cell for each column.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]


Keys = Callable[[Report], Iterator[tuple[str, str, Status]]]


def by_check(reports: Iterable[Report]) -> Matrix:
    """Returns the table with a row for each check, noted with its laws.

    Args:
        reports: Reports of any layers and versions.

    Returns:
        Its cells count modules.
    """

    def keys(report: Report) -> Iterator[tuple[str, str, Status]]:
        for entry in report.entries:
            yield entry.check, ", ".join(entry.laws), entry.status

    return _matrix(tuple(reports), keys)


def by_feature(reports: Iterable[Report]) -> Matrix:
    """Returns the table with a row for each feature of the modules.

    Args:
        reports: Reports of any layers and versions.

    Returns:
        Its cells count modules, each by its worst check.
    """

    def keys(report: Report) -> Iterator[tuple[str, str, Status]]:
        for feature in report.features:
            yield feature, "", _worst(report)

    table = _matrix(tuple(reports), keys)
    return Matrix(table.columns, tuple(sorted(table.rows, key=lambda row: row[0])))


def _worst(report: Report) -> Status:
    order = (Status.FAILED, Status.EXPECTED, Status.PASSED)
    return next((status for status in order if report.of(status)), Status.SKIPPED)


def _matrix(reports: tuple[Report, ...], keys: Keys) -> Matrix:
    columns = tuple(dict.fromkeys(map(Column.of, reports)))
    notes: dict[str, str] = {}
    counts: dict[tuple[str, Column], Counter[Status]] = {}
    for report in reports:
        for name, note, status in keys(report):
            notes.setdefault(name, note)
            counts.setdefault((name, Column.of(report)), Counter())[status] += 1
    rows = (
        (name, note, tuple(Cell(counts.get((name, column), {})) for column in columns))
        for name, note in notes.items()
    )
    return Matrix(columns, tuple(rows))
