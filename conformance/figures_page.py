"""The figures of long runs, from `conformance/results` to docs/figures.md.

Run: `python -m conformance.figures_page` after a run whose figures are kept there; the nightly
workflow does both.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "RESULTS", "page"]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "conformance" / "results"
PAGE = ROOT / "docs" / "figures.md"

_QUANTITIES = {
    "outputs": "outputs in training",
    "inference": "outputs in inference",
    "state": "state",
    "gradients": "gradients",
    "steps": "three optimizer steps",
}
_PAIRS = ("raw to float64", "layer to float64", "layer to raw")
# What the pages of the checks and of the features show.
_NO_FIGURES = ("failures.json", "feature_examples.json")
_MADE = ("commit", "flaxlayer", "keras", "jax", "flax")

_HEAD = """\
# Figures of long runs

What the claims of this site rest on: how many modules, scenarios and hostile files were tried, how
far the layer was from raw Flax, and what the checks find of faulty layers.

Made by `python -m conformance.figures_page` from `conformance/results`, which the nightly workflow
writes anew. A commit that ends in `-dirty` had changes; "not kept" stands where a file was written
before it held this.
"""


def page(folder: Path = RESULTS) -> str:
    """Returns docs/figures.md.

    Args:
        folder: Where the results are.
    """
    runs = dict(_runs(folder))
    sections = {
        "Generated modules": _generated(runs),
        "Generated scenarios": _scenarios(runs),
        "Faulty layers": _faults(runs),
        "Hostile files": _hostile(runs),
        "Distances from float64": _precision(runs),
        "What each run was made with": _made(runs),
    }
    texts = {title: "\n".join(lines) for title, lines in sections.items()}
    return "\n".join([_HEAD, *(f"## {title}\n\n{text}\n" for title, text in texts.items() if text)])


def _runs(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields each run with its title: a file may hold several, by environment or by version."""
    for path in sorted(folder.glob("*.json")):
        if path.name in _NO_FIGURES:
            continue
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, list):
            yield from ((f"{path.stem} {run['environment']}", run) for run in data)
        elif data and all(isinstance(run, dict) and "versions" in run for run in data.values()):
            yield from ((f"{path.stem} {key}", run) for key, run in data.items())
        else:
            yield path.stem, data


def _table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    if lines:
        titles = list(columns)
        yield "| " + " | ".join(titles) + " |"
        yield "|" + " --- |" * len(titles)
        yield from lines


def _generated(runs: Mapping[str, Any]) -> Iterator[str]:
    found = {name: run for name, run in runs.items() if "checked" in run}
    rows = [
        (
            f"`{name}`",
            checks,
            total["modules"],
            total.get("explained", 0),
            round(total["process_seconds"] / 60),
            f"{max(total['errors'].values(), default=0.0):.1e}",
        )
        for name, run in found.items()
        for checks, total in run["checked"].items()
    ]
    columns = ("run", "checks", "modules", "explained", "process minutes", "largest error")
    yield from _table(columns, rows)
    if found:
        failed = sum(len(run["failed"]) for run in found.values())
        yield f"\nTests that failed in these runs: {failed}."


def _scenarios(runs: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (
            f"`{name}`",
            run["scenarios"],
            sum(run["compared"].values()),
            run["failed"],
            len(run["bugs"]),
            round(run["seconds"] / 60),
        )
        for name, run in runs.items()
        if "scenarios" in run
    ]
    columns = ("run", "scenarios", "steps compared", "failed", "distinct bugs", "minutes")
    yield from _table(columns, rows)


def _faults(runs: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for name, run in runs.items():
        if not (faults := run.get("faults")):
            continue
        needed = [fault["needed"] for fault in faults if fault["needed"] is not None]
        median, most = (f"{figure:g}" for figure in (statistics.median(needed), max(needed)))
        seeds = max(len(fault["counts"]) for fault in faults)
        rows.append((f"`{name}`", len(faults), len(needed), seeds, median, most))
    columns = (
        "run",
        "faults",
        "found",
        "searches for each",
        "median of modules",
        "for the hardest",
    )
    yield from _table(columns, rows)


def _hostile(runs: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (f"`{name}`", run["cases"], len(run["routes"]), len(run["findings"]))
        for name, run in runs.items()
        if "findings" in run
    ]
    yield from _table(("run", "cases", "routes", "findings"), rows)


def _precision(runs: Mapping[str, Any]) -> Iterator[str]:
    for name, run in runs.items():
        if not (measured := run.get("units of the tolerance")):
            continue
        dtypes = sorted(run["modules"], key=lambda dtype: -run["modules"][dtype])
        counted = ", ".join(f"{run['modules'][dtype]} of {dtype}" for dtype in dtypes)
        yield f"`{name}`: generated modules by their coarsest dtype, {counted}."
        yield "The largest distance of an element, as a part of its tolerance:"
        yield "raw Flax to float64 / the layer to float64 / the layer to raw Flax.\n"
        rows = (
            [title, *(" / ".join(f"{measured[key][d][p]:.3f}" for p in _PAIRS) for d in dtypes)]
            for key, title in _QUANTITIES.items()
        )
        yield from _table(("", *dtypes), rows)


def _made(runs: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for name, run in runs.items():
        known = run.get("versions", {})
        date = (run.get("created") or run.get("date") or "not kept")[:10]
        made = (known.get(key) or run.get(key) or "not kept" for key in _MADE)
        rows.append((f"`{name}`", date, *made))
    yield from _table(("run", "date", *_MADE), rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
