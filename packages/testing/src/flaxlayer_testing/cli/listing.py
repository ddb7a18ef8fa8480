"""What can be asked for: the lists of checks and of features (T2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

from flaxlayer_testing.checks import Check

__all__ = ["list_checks", "list_features"]


def list_checks(checks: Iterable[Check], path: Path | None) -> None:
    """Prints a line for each check, or writes them as JSON, and ends the command.

    Args:
        checks: The checks.
        path: Where to write; None to print.

    Raises:
        typer.Exit: With 0.
    """
    found = tuple(checks)
    rows = [
        {
            "name": check.name,
            "laws": list(check.laws),
            "needs": {need.name.lower(): need.reason for need in check.needs},
            "slow": check.slow,
            "summary": check.summary,
            "module": check.home,
        }
        for check in found
    ]
    _show(rows, [("check", "laws", "needs", "what it checks"), *map(_line, found)], path)


def _line(check: Check) -> tuple[str, ...]:
    needs = ", ".join(need.name.lower() for need in check.needs) or "-"
    slow = " (slow)" if check.slow else ""
    return check.name, ", ".join(check.laws), needs, f"{check.summary}{slow}"


def list_features(features: Mapping[str, str], path: Path | None) -> None:
    """Prints a line for each feature, or writes them as JSON, and ends the command.

    Args:
        features: What each is, by its name.
        path: Where to write; None to print.

    Raises:
        typer.Exit: With 0.
    """
    rows = [{"name": name, "summary": text} for name, text in features.items()]
    _show(rows, [("feature", "what it is"), *features.items()], path)


def _show(rows: list[dict[str, Any]], lines: list[tuple[str, ...]], path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        typer.echo(f"Wrote {path}")
        raise typer.Exit
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        typer.echo("  ".join(cells).rstrip())
    raise typer.Exit
