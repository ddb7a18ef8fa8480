"""What a run over mutants found, as JSON, with the commit and the versions of the run (T8)."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from conformance.mutants.entry import MUTANTS, ROOT

__all__ = ["RESULTS", "load", "provenance", "save", "summary"]

RESULTS = ROOT / "conformance/results/mutants.json"
_DISTRIBUTIONS = ("flaxlayer-core", "flaxlayer", "flaxlayer-testing", "flax", "jax", "keras")


def provenance() -> dict[str, Any]:
    """Returns the commit of the product and the versions of what it ran with."""
    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    found = {name: metadata.version(name) for name in _DISTRIBUTIONS}
    return {"commit": head.stdout.strip(), "versions": found}


def load(path: Path = RESULTS) -> dict[str, Any]:
    """Returns what a file records, nothing where there is none."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def save(data: Mapping[str, Any], path: Path = RESULTS) -> None:
    """Writes a record; a reader never sees half of it."""
    written = path.with_suffix(".part")
    written.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    written.replace(path)


def summary(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns how many of the mutants that were run are killed, and how fast.

    Args:
        found: For each slug `counts`, what a search needed for each seed: None where it did not
            find the mutant.
    """
    known = {each.slug for each in MUTANTS}
    run = {slug: each for slug, each in found.items() if slug in known}
    needed = [median(each["counts"]) for each in run.values()]
    killed = [count for count in needed if count is not None]
    return {
        "run": len(run),
        "killed": len(killed),
        "median": statistics.median(killed) if killed else None,
        "most": max(killed, default=None),
    }


def median(counts: list[int | None]) -> float | None:
    """Returns the median, where a search that finds nothing counts as one without end."""
    found = statistics.median(float("inf") if count is None else count for count in counts)
    return None if found == float("inf") else found
