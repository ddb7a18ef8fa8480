"""What the commands `search` and `scenarios` say of what they found (T8)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from flaxlayer_testing.report.statistics import Ending, Statistics, statistics_text
from flaxlayer_testing.run.bugs import Bug
from flaxlayer_testing.run.search_outcome import SearchOutcome

__all__ = ["say_ending", "say_statistics", "say_written"]


def say_statistics(outcome: SearchOutcome[Any], parts: Iterable[str], units: str) -> None:
    """Says what was drawn, which checks ran, and how long they took.

    Args:
        outcome: What the search found.
        parts: All that a case may show.
        units: What the cases are called, `"modules"` or `"scenarios"`.
    """
    reports = [*outcome.reports, *outcome.failed]
    typer.echo(statistics_text(outcome.statistics, reports, parts, units) + "\n")


def say_written(path: Path, bug: Bug, count: int, unit: str) -> None:
    """Says which bug the smallest case in a file shows, and how many cases showed it.

    Args:
        path: The file.
        bug: The bug.
        count: How many cases of the search showed it.
        unit: What one of them is called.
    """
    seen = f"{count} {unit}{'' if count == 1 else 's'}"
    typer.echo(f"Wrote {path}: {bug.check}, {bug.error}, {seen}: {bug.shape}")


def say_ending(statistics: Statistics, examples: int, done: str) -> None:
    """Says why a search ended before all cases were run, if it did.

    Args:
        statistics: Of the search.
        examples: How many cases were asked for.
        done: What became of those that were run, such as `"modules were checked"`.
    """
    if statistics.ending in (Ending.TIME, Ending.EXHAUSTED):
        made = statistics.distinct - statistics.kept
        typer.echo(f"{made} of {examples} {done}: {statistics.ending}.")
