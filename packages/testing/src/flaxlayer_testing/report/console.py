"""What the command shows, and how it ends: 0 passed, 1 failed, 2 misused (T8)."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import typer

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.errors import (
    LoadTargetError,
    ReadProjectError,
    ReadRecordError,
    ReadSpecError,
    SelectCheckError,
)
from flaxlayer_testing.report.junit import write_junit
from flaxlayer_testing.report.page import write_page
from flaxlayer_testing.report.record import Record

__all__ = ["MENDED", "Outputs", "command_line", "finish", "misuse"]

_MISUSES = (LoadTargetError, ReadProjectError, ReadRecordError, ReadSpecError, SelectCheckError)

MENDED = "a search with the seed that found it looks for what else there is."
"""What to try after a failure that was saved does not come about any more."""


@dataclass(frozen=True)
class Outputs:
    """The files to write.

    Attributes:
        json: For the record.
        html: For its page.
        junit: For JUnit's XML.
    """

    json: Path | None = None
    html: Path | None = None
    junit: Path | None = None

    def write(self, record: Record) -> None:
        """Writes what was asked for, and says so."""
        if self.json:
            record.write(self.json)
        if self.html:
            write_page(record, self.html)
        if self.junit:
            write_junit(record, self.junit)
        for path in filter(None, (self.json, self.html, self.junit)):
            typer.echo(f"Wrote {path}")


def command_line(*words: str) -> str:
    """Returns a call of the command, quoted for a shell.

    Example:

    ```python
    >>> command_line("check", "net:Net", "--input", "float32[2,3]")
    "flaxlayer-conformance check net:Net --input 'float32[2,3]'"

    ```
    """
    return shlex.join([*current_backend().environment, "flaxlayer-conformance", *words])


@contextmanager
def misuse() -> Iterator[None]:
    """Ends the command with 2 where what the user named is not to be had."""
    try:
        yield
    except _MISUSES as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def finish(
    record: Record,
    outputs: Outputs,
    *,
    replay: str = "",
    ran: bool = True,
    unit: str = "module",
    after: str = "",
) -> None:
    """Writes the files, sums up, shows failures last, and ends the command.

    Args:
        record: What was found.
        outputs: Files to write.
        replay: The command for a faulty layer, to which its name is appended.
        ran: Whether it was found here, on the backend of this process.
        unit: What each report is about.
        after: What to try next where nothing failed; it is said on stderr, as progress is.

    Raises:
        typer.Exit: With 0 or 1.
    """
    outputs.write(record)
    if ran:
        typer.echo(f"Keras {keras.__version__} on {current_backend().name}")
    typer.echo(_summary(record, unit))
    for report in record.reports:
        for entry in report.failures:
            typer.echo(f"\n{report.layer} running {report.subject}, seed {report.seed}")
            typer.echo(entry.failure_text())
    for fault in record.faults:
        if not fault.ok:
            typer.echo(f"\n{fault.fault}: {fault.message}\nReplay: {replay} {fault.fault}")
    if record.ok and after:
        typer.echo(f"Next: {after}", err=True)
    raise typer.Exit(0 if record.ok else 1)


def _summary(record: Record, unit: str) -> str:
    counts = Counter(entry.status for report in record.reports for entry in report.entries)
    parts = [f"{count} {status}" for status, count in sorted(counts.items())]
    found = sum(fault.ok for fault in record.faults)
    faults = [f"{found} of {len(record.faults)} faults found"] if record.faults else []
    count = len(record.reports)
    modules = [f"{count} {unit}{'' if count == 1 else 's'}"] if count else []
    return ", ".join([*modules, *parts, *faults]) or "nothing was checked"
