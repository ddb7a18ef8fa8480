"""A long run of generated scenarios, and its figures (T9).

Run: `python -m conformance.long_scenarios linen --examples 2000 --workers 2 --json FILE`, under the
backend that `KERAS_BACKEND` names; the nightly workflow does so.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from conformance.figures import provenance
from flaxlayer_testing.run.law_search import ScenarioSearch, search_scenarios

__all__ = ["figures_of"]


def figures_of(found: ScenarioSearch, framework: str, seed: int, seconds: float) -> dict[str, Any]:
    """Returns what a run has shown, as plain data.

    Args:
        found: What the search left.
        framework: What the modules were of: `"linen"` or `"nnx"`.
        seed: The seed of the run.
        seconds: How long it took.
    """
    reports = [*found.reports, *found.failed]
    counts = Counter(entry.check for report in reports for entry in report.entries)
    return {
        **provenance(),
        "framework": framework,
        "seed": seed,
        "scenarios": found.statistics.distinct,
        "repeats": found.statistics.repeats,
        "ending": str(found.statistics.ending),
        "seconds": round(seconds),
        "compared": dict(sorted(counts.items())),
        "failed": len(found.failed),
        "bugs": [
            {
                "check": one.bug.check,
                "error": one.bug.error,
                "shape": one.bug.shape,
                "count": one.count,
                "scenario": json.loads(one.broken.scenario.to_json()),
            }
            for one in found.bugs
        ],
    }


def main() -> int:
    """Runs the scenarios; returns how many distinct bugs they showed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=["linen", "nnx"])
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--max-time", type=float)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    began = time.monotonic()
    found = search_scenarios(
        budget=given.examples,
        seed=given.seed,
        framework=given.framework,
        workers=given.workers,
        max_time=given.max_time,
        continue_after_failure=True,
    )
    figures = figures_of(found, given.framework, given.seed, time.monotonic() - began)
    given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(f"{figures['scenarios']} scenarios, {figures['failed']} failed: {figures['ending']}")
    for bug in figures["bugs"]:
        print(f"{bug['count']} times {bug['check']}, {bug['error']}: {bug['shape']}")
    return len(figures["bugs"])


if __name__ == "__main__":
    raise SystemExit(bool(main()))
