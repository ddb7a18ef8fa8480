"""The geometry of the plots on the page; the template draws them as SVG (T8)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flaxlayer_testing.report.record import FaultResult
from flaxlayer_testing.report.report import Report

__all__ = ["Bar", "Bars", "ErrorPlot", "plot_errors", "plot_faults"]

LEFT, ZERO, START, END, ROW, TOP = 96, 124, 176, 740, 34, 14
LOWEST = -16


@dataclass(frozen=True)
class Dot:
    """A largest error.

    Attributes:
        x: Where it stands.
        y: The middle of its dtype's row.
        title: Which check, layer and error it is.
        beyond: Whether it is above the absolute tolerance.
    """

    x: float
    y: float
    title: str
    beyond: bool = False


@dataclass(frozen=True)
class ErrorPlot:
    """The largest error of each check, by dtype, on a logarithmic axis.

    Attributes:
        rows: Name of each dtype, the middle of its row, and where its tolerance stands.
        dots: The errors.
        ticks: Where each power of ten stands, and its exponent.
        zero: Where an error of zero stands.
        width: Of the drawing.
        height: Of the drawing.
    """

    rows: tuple[tuple[str, float, float | None], ...]
    dots: tuple[Dot, ...]
    ticks: tuple[tuple[float, int], ...]
    zero: float
    width: int
    height: float


def _x(error: float) -> float:
    if error <= 0:
        return ZERO
    if not math.isfinite(error):
        return END
    exponent = min(max(math.log10(error), LOWEST), 0)
    return round(START + (END - START) * (exponent - LOWEST) / -LOWEST, 1)


def plot_errors(
    reports: Iterable[Report], tolerances: Mapping[str, Mapping[str, float]]
) -> ErrorPlot:
    """Plots the largest error that each check saw for each dtype.

    Args:
        reports: Reports of any layers.
        tolerances: The table, whose `atol` is drawn.

    Returns:
        The plot; without rows where no check compared values.
    """
    largest: dict[str, dict[tuple[str, str], float]] = {}
    for report in reports:
        for entry in report.entries:
            for dtype, error in entry.errors.items():
                known = largest.setdefault(dtype, {})
                key = (entry.check, report.layer)
                known[key] = max(error, known.get(key, 0.0))
    middles = {dtype: TOP + ROW * (number + 0.5) for number, dtype in enumerate(sorted(largest))}
    limits = {dtype: tolerances.get(dtype, {}).get("atol", 0.0) for dtype in middles}
    rows = ((name, y, _x(limits[name]) if limits[name] else None) for name, y in middles.items())
    dots = (
        Dot(_x(error), middles[dtype], f"{check}, {layer}: {error:.3g}", error > limits[dtype])
        for dtype, known in largest.items()
        for (check, layer), error in known.items()
    )
    ticks = tuple((_x(10.0**power), power) for power in range(LOWEST, 1, 2))
    return ErrorPlot(tuple(rows), tuple(dots), ticks, ZERO, END + 20, TOP + ROW * len(middles) + 30)


@dataclass(frozen=True)
class Bar:
    """What the searches for a fault needed.

    Attributes:
        result: What they found.
        y: The middle of its row.
        budget: The length of its budget.
        needed: The length of the median over the seeds.
        ends: The lengths of the fewest and the most of a seed; both 0 without seeds.
    """

    result: FaultResult
    y: float
    budget: float
    needed: float
    ends: tuple[float, float]


@dataclass(frozen=True)
class Bars:
    """The generated modules that each fault needed.

    Attributes:
        rows: A bar for each fault.
        left: Where bars start.
        width: Of the drawing.
        height: Of the drawing.
    """

    rows: tuple[Bar, ...]
    left: int
    width: int
    height: float


def plot_faults(faults: Iterable[FaultResult]) -> Bars:
    """Plots how many generated modules the search for each fault needed.

    Args:
        faults: What searches found.

    Returns:
        The plot.
    """
    results = tuple(faults)
    most = max((max(r.budget, r.needed or 0, *r.counts) for r in results), default=1)
    left, row = 300, 24
    unit = (END - left - 40) / max(most, 1)
    rows = tuple(
        Bar(
            result,
            8 + row * (number + 0.5),
            result.budget * unit,
            (result.needed or 0) * unit,
            (min(result.counts, default=0) * unit, max(result.counts, default=0) * unit),
        )
        for number, result in enumerate(results)
    )
    return Bars(rows, left, END + 20, 16 + row * len(results))
