"""What a run of checks found: entries, and the report that holds them (T2, T8)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flaxlayer_testing.errors import PassChecksError
from flaxlayer_testing.report.provenance import NO_COMMIT

__all__ = ["Entry", "Report", "Status"]


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    EXPECTED = "expected failure"


@dataclass(frozen=True)
class Entry:
    """What one check found.

    Attributes:
        check: Its name.
        laws: The laws that it enforces.
        status: How it ended.
        message: The error, or why it was skipped or expected to fail.
        error_type: The class of the error.
        errors: The largest observed error for each dtype.
        seconds: How long it took.
        replay: The command that runs it again.
        program: A standalone program that fails in the same way, where there is one.
        place: The module and the function of the layer under test that raised, if it did.
    """

    check: str
    laws: tuple[str, ...]
    status: Status
    message: str = ""
    error_type: str = ""
    errors: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    replay: str = ""
    program: str = ""
    place: str = ""

    def failure_text(self, *, replays: bool = True) -> str:
        """Returns the failure for a person.

        Args:
            replays: Whether its last line is what replays it (T8).
        """
        laws = ", ".join(self.laws)
        parts = [f"{self.check} ({laws}) failed with {self.error_type}:", self.message]
        if self.place:
            parts.append(f"Raised in: {self.place}")
        if self.program:
            parts += ["A program that fails in the same way:", "", self.program]
        parts += [f"Replay: {self.replay}"] if replays else []
        return "\n".join(parts)


@dataclass(frozen=True)
class Report:
    """What all checks of one module found.

    Attributes:
        subject: The module, as text.
        layer: The layer under test, as text.
        entries: One for each check that was run or skipped.
        versions: Versions of what took part.
        seed: The seed of the layer.
        features: What the module stands for, such as the features of a generated one.

    Example:

    ```python
    >>> import flax.linen as nn, numpy as np
    >>> from flaxlayer_testing import check_module
    >>> report = check_module(nn.Dense(2), np.ones((1, 3), np.float32), only=["check_inference"])
    >>> report.ok, [str(entry.status) for entry in report.entries]
    (True, ['passed'])

    ```
    """

    subject: str
    layer: str
    entries: tuple[Entry, ...]
    versions: Mapping[str, str]
    seed: int = 0
    features: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no check failed; expected failures are not failures."""
        return not self.failures

    @property
    def failures(self) -> tuple[Entry, ...]:
        """The entries that failed."""
        return self.of(Status.FAILED)

    def of(self, status: Status) -> tuple[Entry, ...]:
        """Returns the entries of one status."""
        return tuple(entry for entry in self.entries if entry.status is status)

    def raise_for_failures(self) -> None:
        """Raises if a check failed.

        Raises:
            PassChecksError: With the text of every failure; its last line replays the last one.
        """
        if not self.failures:
            return
        names = ", ".join(entry.check for entry in self.failures)
        *others, last = self.failures
        texts = [*(entry.failure_text() for entry in others), last.failure_text(replays=False)]
        failed = f"{self.layer} does not pass {len(self.failures)} checks of {self.subject}"
        raise PassChecksError("\n\n".join([f"{failed}: {names}.", *texts]), replay=last.replay)

    def to_json(self) -> str:
        """Returns the report as JSON."""
        return json.dumps(asdict(self), indent=1)

    def __str__(self) -> str:
        """Returns the report as a table of plain text."""
        text = io.StringIO()
        console = Console(file=text, width=110, color_system=None)
        console.print(self._table())
        for entry in self.failures:
            console.print(entry.failure_text(), markup=False, highlight=False, soft_wrap=True)
        return text.getvalue().rstrip()

    def __rich__(self) -> Table:
        return self._table()

    def _table(self) -> Table:
        counts = {status: len(self.of(status)) for status in Status}
        summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        versions = ", ".join(
            f"{name} {version}"
            for name, version in self.versions.items()
            if (name, version) != ("commit", NO_COMMIT)
        )
        # Text, because a string is markup to rich: "[/x]" in a message would be an error.
        title, caption = f"{self.layer} running {self.subject}", f"{summary}\n{versions}"
        table = Table(title=Text(title), caption=Text(caption))
        for name in ("check", "laws", "result", "largest error", "seconds"):
            # A name stays whole, so that it can be given to --only.
            table.add_column(name, overflow="fold", no_wrap=name in ("check", "seconds"))
        for row in self._rows():
            table.add_row(*map(Text, row))
        return table

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for entry in self.entries:
            errors = ", ".join(f"{dtype} {error:.3g}" for dtype, error in entry.errors.items())
            note = entry.message if entry.status is Status.SKIPPED else errors
            laws, seconds = ", ".join(entry.laws), f"{entry.seconds:.2f}"
            yield entry.check, laws, str(entry.status), note, seconds
