"""What a session of checks found, as one JSON file (T8)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flaxlayer_testing.errors import ReadRecordError
from flaxlayer_testing.events import Event, ReportFinished
from flaxlayer_testing.report import Entry, Report, Status
from flaxlayer_testing.running import versions
from flaxlayer_testing.tolerances import TOLERANCES

__all__ = ["FaultResult", "Record", "Recorder"]

FORMAT = 1


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _table() -> dict[str, dict[str, float]]:
    return {dtype: asdict(tolerance) for dtype, tolerance in TOLERANCES.items()}


@dataclass(frozen=True)
class FaultResult:
    """What a search for one faulty layer found (T5).

    Attributes:
        fault: The name of the faulty layer.
        check: The check that must catch it.
        budget: The most generated modules that a search may need.
        needed: How many it needed, the median over seeds; None if a search did not find it.
        message: What is wrong, where something is.
        counts: How many the search of each seed needed, up to one that did not find it.
        seed: The first of these seeds; the others follow it.
        seconds: How long all searches took.
    """

    fault: str
    check: str
    budget: int
    needed: float | None = None
    message: str = ""
    counts: tuple[int, ...] = ()
    seed: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the fault was found, and its healthy twin passed."""
        return self.needed is not None and not self.message


@dataclass(frozen=True)
class Record:
    """The reports of one or more sessions.

    Attributes:
        reports: One for each module that was checked.
        faults: What searches for faulty layers found.
        created: When it was made.
        tolerances: The table of tolerances that was in force.
        versions: Versions of what took part.

    Example:

    ```python
    >>> record = Record((), (FaultResult("ForgetsBias", "check_inference", 20, needed=3),))
    >>> record.ok, Record.from_json(record.to_json()) == record
    (True, True)

    ```
    """

    reports: tuple[Report, ...] = ()
    faults: tuple[FaultResult, ...] = ()
    created: str = field(default_factory=_now)
    tolerances: Mapping[str, Mapping[str, float]] = field(default_factory=_table)
    versions: Mapping[str, str] = field(default_factory=versions)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(report.ok for report in self.reports) and all(fault.ok for fault in self.faults)

    @property
    def seconds(self) -> float:
        """How long all checks took together."""
        checked = sum(entry.seconds for report in self.reports for entry in report.entries)
        return checked + sum(fault.seconds for fault in self.faults)

    def to_json(self) -> str:
        """Returns the record as JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Reads what `to_json` of a record or of a single report wrote.

        Args:
            text: JSON.

        Returns:
            An equal record.

        Raises:
            ReadRecordError: If the text is neither.
        """
        try:
            data = json.loads(text)
            if "entries" in data:
                data = {"reports": [data], "created": "", "versions": data.get("versions", {})}
            return cls(
                tuple(map(_report, data["reports"])),
                tuple(map(_fault, data.get("faults", ()))),
                str(data["created"]),
                data.get("tolerances", _table()),
                data.get("versions", {}),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ReadRecordError(
                "The text is not the JSON of a record.",
                expected="what `Record.to_json` or `Report.to_json` writes",
                found=f"{type(error).__name__}: {error}",
                fix="Pass a file that --json or --flaxlayer-report wrote.",
                law="T8",
            ) from error

    @classmethod
    def join(cls, records: Iterable[Record]) -> Record:
        """Returns one record of several, with the latest date and the first's other data."""
        parts = tuple(records)
        return cls(
            tuple(report for part in parts for report in part.reports),
            tuple(fault for part in parts for fault in part.faults),
            max((part.created for part in parts), default=_now()),
            parts[0].tolerances if parts else _table(),
            parts[0].versions if parts else versions(),
        )

    def write(self, path: Path) -> None:
        """Writes the JSON into a file, and makes its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json() + "\n", encoding="utf-8")


def _fault(data: Any) -> FaultResult:
    return FaultResult(**{**data, "counts": tuple(data.get("counts", ()))})


def _report(data: Any) -> Report:
    known = {part.name for part in fields(Report)}
    values = {name: value for name, value in data.items() if name in known}
    values["entries"] = tuple(map(_entry, values["entries"]))
    values["features"] = tuple(values.get("features", ()))
    return Report(**values)


def _entry(data: Any) -> Entry:
    return Entry(**{**data, "laws": tuple(data["laws"]), "status": Status(data["status"])})


class Recorder:
    """A listener that keeps the reports.

    Example:

    ```python
    >>> import flax.linen as nn, numpy as np
    >>> from flaxlayer_testing import check_module, listening
    >>> recorder = Recorder()
    >>> with listening(recorder):
    ...     report = check_module(nn.Dense(2), np.ones((1, 3), np.float32), only=["check_seed"])
    >>> recorder.reports == [report]
    True

    ```
    """

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def __call__(self, event: Event) -> None:
        """Is told an event."""
        if isinstance(event, ReportFinished):
            self.reports.append(event.report)
