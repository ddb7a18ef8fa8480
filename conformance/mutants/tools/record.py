"""What a run over mutants found, as JSON, with the commit and the versions of the run (T8)."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from conformance.mutants.entry import MUTANTS, ROOT

__all__ = ["RESULTS", "is_decided", "load", "median", "provenance", "save", "summary"]

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


def summary(found: Mapping[str, Mapping[str, Any]], seeds: int) -> dict[str, Any]:
    """Returns how many of the mutants that were run are killed, and how fast.

    Args:
        found: For each slug `counts`, what a search needed for each seed: None where it did not
            find the mutant.
        seeds: How many searches each median is of.
    """
    known = {each.slug for each in MUTANTS}
    run = {slug: each for slug, each in found.items() if slug in known}
    needed = [median(each["counts"], seeds) for each in run.values()]
    killed = [count for count in needed if count is not None]
    return {
        "run": len(run),
        "killed": len(killed),
        "median": statistics.median(killed) if killed else None,
        "most": max(killed, default=None),
    }


def median(counts: Sequence[int | None], seeds: int | None = None) -> float | None:
    """Returns the most that a median can be.

    Args:
        counts: What each search needed: None where it found nothing, which counts as one without
            end.
        seeds: How many searches the median is of; those that were not run count alike.
    """
    known = [float("inf") if count is None else count for count in counts]
    found = statistics.median([*known, *[float("inf")] * ((seeds or 0) - len(known))])
    return None if found == float("inf") else found


def is_decided(counts: Sequence[int | None], seeds: int) -> bool:
    """Tells whether further searches cannot change if there is a median.

    Args:
        counts: What the searches so far needed, None where one found nothing.
        seeds: How many searches the median is of.
    """
    missed = sum(count is None for count in counts)
    found = len(counts) - missed
    return len(counts) >= seeds or 2 * found > seeds or 2 * missed >= seeds
