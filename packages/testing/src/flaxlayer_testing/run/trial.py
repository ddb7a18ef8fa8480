"""What is asked of each case of a search, as its processes and its stream see it (T1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from flaxlayer_testing.report.report import Report
from flaxlayer_testing.run.bugs import Bug
from flaxlayer_testing.run.case_stream import C

__all__ = ["LOST", "Recipe", "Trial"]

LOST = "LostProcess"
"""The error of a case whose process ended while it was run."""

Recipe = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function that another process imports, and its arguments, which can be sent there."""


class Trial(Protocol[C]):
    """Runs cases of one kind: modules, or scenarios."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what may fail."""

    def report(self, case: C, begin: Callable[[str], None] = ...) -> Report:
        """Runs a case, and says the name of each part that begins."""

    def shows(self, case: C, bug: Bug) -> bool:
        """Tells whether a case shows a bug."""

    def lost(self, case: C, begun: str) -> Report:
        """Returns the report of a case whose process ended in a part of some name."""

    def recipe(self) -> Recipe:
        """Returns what makes the same in another process.

        Raises:
            LoadTargetError: If another process cannot import what is tried.
        """

    def read(self, text: str) -> C:
        """Reads the JSON of a case."""

    def written(self, case: C) -> str:
        """Returns the JSON of a case."""
