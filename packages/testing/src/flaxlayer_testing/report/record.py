"""What a session of checks found, as one JSON file (T8)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flaxlayer_testing.compare.tolerances import TOLERANCES
from flaxlayer_testing.errors import ReadRecordError, in_short
from flaxlayer_testing.report.events import Event, ReportFinished
from flaxlayer_testing.report.report import Entry, Report, Status
from flaxlayer_testing.report.versions import versions
from flaxlayer_testing.stored import items, mapping, number, parse, table, text, texts, whole

__all__ = ["FaultResult", "Record", "Recorder"]

FORMAT = 1

MAX_COUNT = 2**32 - 1


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
    def from_json(cls, written: str) -> Record:
        """Reads what `to_json` of a record or of a single report wrote.

        Every value is checked before anything is made of it, as anybody may have written it (S6).

        Args:
            written: JSON.

        Returns:
            An equal record.

        Raises:
            ReadRecordError: If the text is neither.
        """
        try:
            return _record(parse(written))
        except (KeyError, TypeError, ValueError) as error:
            raise ReadRecordError(
                "The text is not the JSON of a record.",
                expected="what `Record.to_json` or `Report.to_json` writes",
                found=in_short(error),
                fix="Pass a file that --json or --flaxlayer-report wrote.",
                law="T8",
            ) from error

    @classmethod
    def join(cls, records: Iterable[Record]) -> Record:
        """Returns one record of several, with the latest date and all versions."""
        parts = tuple(records)
        return cls(
            tuple(report for part in parts for report in part.reports),
            tuple(fault for part in parts for fault in part.faults),
            max((part.created for part in parts), default=_now()),
            parts[0].tolerances if parts else _table(),
            _joined(part.versions for part in parts) if parts else versions(),
        )

    def write(self, path: Path) -> None:
        """Writes the JSON into a file, and makes its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json() + "\n", encoding="utf-8")


def _joined(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for part in parts:
        for name, version in part.items():
            found.setdefault(name, []).append(version)
    return {name: ", ".join(dict.fromkeys(known)) for name, known in found.items()}


def _record(data: Any) -> Record:
    known = mapping(data)
    if "entries" in known:
        known = {"reports": [known], "created": "", "versions": known.get("versions", {})}
    rows = table(known["tolerances"], _tolerance) if "tolerances" in known else _table()
    return Record(
        items(known["reports"], _report),
        items(known.get("faults", ()), _fault),
        text(known["created"]),
        rows,
        table(known.get("versions", {}), text),
    )


def _numbers(data: Any) -> dict[str, float]:
    return table(data, number)


def _tolerance(data: Any) -> dict[str, float]:
    known = mapping(data)
    return {name: number(known[name]) for name in ("rtol", "atol")}


def _fault(data: Any) -> FaultResult:
    known = mapping(data)
    needed = known.get("needed")
    return FaultResult(
        text(known["fault"]),
        text(known["check"]),
        whole(known["budget"], 0, MAX_COUNT),
        None if needed is None else number(needed),
        text(known.get("message", "")),
        items(known.get("counts", ()), _count),
        whole(known.get("seed", 0), 0, MAX_COUNT),
        number(known.get("seconds", 0.0)),
    )


def _count(value: Any) -> int:
    return whole(value, 0, MAX_COUNT)


def _report(data: Any) -> Report:
    known = mapping(data)
    return Report(
        text(known["subject"]),
        text(known["layer"]),
        items(known["entries"], _entry),
        table(known["versions"], text),
        whole(known.get("seed", 0), 0, MAX_COUNT),
        texts(known.get("features", ())),
    )


def _entry(data: Any) -> Entry:
    known = mapping(data)
    return Entry(
        text(known["check"]),
        texts(known["laws"]),
        Status(text(known["status"])),
        text(known.get("message", "")),
        text(known.get("error_type", "")),
        _numbers(known.get("errors", {})),
        number(known.get("seconds", 0.0)),
        text(known.get("replay", "")),
        text(known.get("program", "")),
        text(known.get("place", "")),
    )


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
