"""What a search of modules or of scenarios leaves behind (T1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from flaxlayer_testing.report.report import Report
from flaxlayer_testing.report.statistics import Statistics

__all__ = ["SearchOutcome"]

B = TypeVar("B")


@dataclass(frozen=True)
class SearchOutcome(Generic[B]):
    """What a search found.

    Attributes:
        reports: Those of the cases that passed.
        bugs: The bugs, in the order in which they were found.
        failed: The reports of the cases that failed, as they were drawn.
        statistics: What was drawn, and how the search ended.
    """

    reports: tuple[Report, ...]
    bugs: tuple[B, ...] = ()
    failed: tuple[Report, ...] = ()
    statistics: Statistics = field(default_factory=Statistics)
