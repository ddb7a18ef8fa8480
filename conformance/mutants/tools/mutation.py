"""A mutation run: a sample of all systematic changes of both packages, and what kills each (T11).

A driver of ours: cosmic-ray and mutmut change files in the checkout or in copies of it, and start
a command for each change, which first imports JAX, Flax and Keras for seconds. Here a process that
has these is forked, and imports the changed text.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.mutants.entry import ROOT, SOURCES
from conformance.mutants.tools.importing import stand_in
from conformance.mutants.tools.operators import Change, changes
from conformance.mutants.tools.processes import Job, Outcome, run_jobs
from conformance.mutants.tools.record import load, provenance, save

__all__ = ["RESULTS", "Site", "mutate", "sample", "share", "survivors"]

RESULTS = ROOT / "conformance/results/mutation.json"
# What conformance on JAX cannot reach: another backend, exports, and errors of other platforms.
_LEFT_OUT = (
    "flaxlayer/backends/tensorflow/",
    "flaxlayer/backends/torch/",
    "flaxlayer/compat/private_torch.py",
    "flaxlayer/exports/",
    "flaxlayer/saving/checkpoints/",
)


@dataclass(frozen=True)
class Site:
    """A change of a file.

    Attributes:
        file: The file, from the folder of sources on.
        change: The change.
    """

    file: str
    change: Change

    @property
    def path(self) -> Path:
        """Where the file stands."""
        return SOURCES[self.file.partition("/")[0]] / self.file

    @property
    def name(self) -> str:
        """The same for the same text in the same file, wherever its line has moved."""
        text = self.path.read_text(encoding="utf-8")
        line = text.splitlines()[self.change.line - 1]
        parts = (line, self.change.operator, self.change.old, self.change.new)
        digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=6).hexdigest()
        return f"{self.file}:{digest}"

    def install(self) -> None:
        """Makes this process import the changed file."""
        module = self.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        text = self.path.read_text(encoding="utf-8")
        stand_in(module, self.path, self.change.apply(text))


def sample(seed: int, count: int | None = None) -> list[Site]:
    """Returns changes of both packages in an order that a seed draws.

    Args:
        seed: The seed.
        count: How many; all if not given. Fewer are the first of more.
    """
    found = list(_every_site())
    random.Random(seed).shuffle(found)
    return found[:count]


@functools.cache
def _every_site() -> tuple[Site, ...]:
    found = []
    for package, root in SOURCES.items():
        for path in sorted((root / package).rglob("*.py")):
            file = path.relative_to(root).as_posix()
            if not file.startswith(_LEFT_OUT):
                source = path.read_text(encoding="utf-8")
                found += [Site(file, change) for change in changes(source)]
    return tuple(found)


def mutate(
    *,
    seed: int,
    sample: int,
    workers: int,
    seconds: float,
    max_time: float | None,
    budget: int,
    log: Path | None,
    path: Path = RESULTS,
) -> int:
    """Runs a sample of changes, and records which are killed; goes on where it was stopped.

    Args:
        seed: Draws the sample.
        sample: How many changes.
        workers: How many run at a time.
        seconds: The most for one of them; one that takes longer counts as killed.
        max_time: Seconds after which no further one begins.
        budget: The most scenarios for one of them.
        log: A file for what they print.
        path: The record.

    Returns:
        0.
    """
    record = load(path)
    if record.get("seed") != seed:
        record = {"seed": seed, "changes": {}, "reached": {}}
    record.update(provenance(), budget=budget)
    known: dict[str, Any] = record["changes"]
    sites = {site.name: site for site in _drawn(seed, sample)}
    record["changes"] = known = {name: known[name] for name in known if name in sites}
    record["reached"] = record["reached"] or _reached(log)
    end = None if max_time is None else time.monotonic() + max_time
    for name in list(sites):
        site = sites[name]
        if name not in known and not _is_reached(site, record["reached"]):
            known[name] = _entry(site, "not reached", "")
    left = [site for name, site in sites.items() if name not in known]
    jobs = (
        Job(site.name, site.install, _KILLER, {"budget": budget}, seconds)
        for site in itertools.takewhile(lambda _: end is None or time.monotonic() < end, left)
    )
    for outcome in run_jobs(jobs, workers=workers, log=log):
        known[outcome.name] = _judged(sites[outcome.name], outcome)
        record["share"] = share(known)
        print(f"{known[outcome.name]['status']}: {outcome.name}", flush=True)
        save(record, path)
    record["share"] = share(known)
    save(record, path)
    return 0


_KILLER = "conformance.mutants.tools.killers:kill"
_drawn = sample


def _reached(log: Path | None) -> dict[str, list[int]]:
    task = "conformance.mutants.tools.reached:reached_by_zoo"
    (outcome,) = run_jobs([Job("reached", lambda: None, task, {}, 3600)], log=log)
    if outcome.error:
        raise RuntimeError(f"the zoo does not pass by itself: {outcome.error}")
    found: dict[str, list[int]] = outcome.result
    return found


def _is_reached(site: Site, reached: Mapping[str, Iterable[int]]) -> bool:
    change = site.change
    lines = range(change.line, change.line + change.old.count("\n") + 1)
    return not set(lines).isdisjoint(reached.get(site.file, ()))


def _judged(site: Site, outcome: Outcome) -> dict[str, Any]:
    if outcome.result is None:
        # It does not even come to an end: nobody can overlook that.
        return _entry(site, "killed", outcome.error.strip()[:200])
    by = outcome.result["by"]
    return _entry(site, "killed" if by else "survived", by)


def _entry(site: Site, status: str, by: str) -> dict[str, Any]:
    change = site.change
    return {
        "place": f"{site.file}:{change.line}",
        "operator": change.operator,
        "old": change.old[:200],
        "new": change.new[:200],
        "status": status,
        "by": by,
    }


def share(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns how many changes are killed, of all and of those that are reached at all."""
    counts = Counter(each["status"] for each in found.values())
    run = counts["killed"] + counts["survived"]
    return {
        **dict(sorted(counts.items())),
        "killed of run": round(counts["killed"] / run, 3) if run else None,
        "killed of all": round(counts["killed"] / len(found), 3) if found else None,
    }


def survivors(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yields the changes that nothing killed, one a line."""
    for each in sorted(found.values(), key=lambda each: str(each["place"])):
        if each["status"] == "survived":
            yield f"{each['place']}: {each['operator']}: {each['old']!r} -> {each['new']!r}"
