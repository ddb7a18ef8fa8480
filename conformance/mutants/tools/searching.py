"""Searches for mutants: how many different cases it takes until one shows each (T11)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from conformance.mutants.entry import MUTANTS, Mutant, find
from conformance.mutants.tools.importing import install
from conformance.mutants.tools.processes import Job, Outcome, run_jobs
from conformance.mutants.tools.record import (
    is_decided,
    load,
    median,
    provenance,
    save,
    summary,
)

__all__ = ["is_done", "search"]

_KILLERS = {
    "scenarios": "conformance.mutants.tools.killers:search_scenarios",
    "modules": "conformance.mutants.tools.killers:search_modules",
    "zoo": "conformance.mutants.tools.killers:check_zoo",
}


def search(
    *,
    names: Sequence[str],
    killer: str,
    seed: int,
    seeds: int,
    budget: int,
    workers: int,
    seconds: float,
    max_time: float | None,
    again: bool,
    log: Path | None,
) -> int:
    """Searches for mutants and records what each took.

    Args:
        names: Slugs; all mutants if there is none.
        killer: What searches.
        seed: The first seed.
        seeds: How many searches a median is of, each with the seed after the last one's; those
            that cannot change if there is one are not run.
        budget: The most cases of a search.
        workers: How many mutants are searched for at a time.
        seconds: The most that one mutant may take.
        max_time: Seconds after which no further mutant begins.
        again: Whether those are searched for again that the record has already.
        log: A file for what the searches print.

    Returns:
        0 if all that were searched for are found, else 1.
    """
    record = load()
    entry = record.setdefault(killer, {"found": {}})
    entry.update(provenance(), budget=budget, seeds=seeds)
    known: dict[str, Any] = entry["found"]
    chosen = [find(name) for name in names] if names else MUTANTS
    left = [each for each in chosen if again or not is_done(known.get(each.slug), seeds, budget)]
    arguments = {"seed": seed, "seeds": seeds, "budget": budget}
    jobs = (
        Job(
            each.slug,
            partial(install, each),
            _KILLERS[killer],
            {**arguments, **_framework(each, killer)},
            seconds,
        )
        for each in _until(left, max_time)
    )
    missed = 0
    for outcome in run_jobs(jobs, workers=workers, log=log):
        known[outcome.name] = {
            **_found(outcome, find(outcome.name), seeds),
            "budget": budget,
            "commit": entry["commit"],
        }
        needed = median(known[outcome.name]["counts"], seeds)
        missed += needed is None
        print(f"{outcome.name}: {'not found' if needed is None else f'{needed:g}'}", flush=True)
        entry["summary"] = summary(known, seeds)
        save(record)
    return 1 if missed else 0


def is_done(found: dict[str, Any] | None, seeds: int, budget: int) -> bool:
    """Tells whether a record has what a search would find out, or more of it."""
    if found is None or not is_decided(found["counts"], seeds):
        return False
    # What most searches found within fewer cases, they would have found within more.
    return found["budget"] >= budget or median(found["counts"], seeds) is not None


def _framework(mutant: Mutant, killer: str) -> dict[str, str]:
    # A scenario is of one framework; what is said of modules of nnx shows in theirs alone.
    return {"framework": "nnx"} if (killer, mutant.kind) == ("scenarios", "nnx") else {}


def _until(mutants: Iterable[Mutant], max_time: float | None) -> Iterator[Mutant]:
    end = None if max_time is None else time.monotonic() + max_time
    return itertools.takewhile(lambda _: end is None or time.monotonic() < end, mutants)


def _found(outcome: Outcome, mutant: Mutant, seeds: int) -> dict[str, Any]:
    found = {"law": mutant.law, "kind": mutant.kind, "seconds": outcome.seconds}
    if outcome.result is not None:
        return {**found, **outcome.result}
    if outcome.error == "time":
        return {**found, "counts": [None], "by": "", "message": "the time was over"}
    # A search that does not come to its end is one that the mutant has ended: it is found.
    return {**found, "counts": [1], "by": "the search itself", "message": outcome.error}
