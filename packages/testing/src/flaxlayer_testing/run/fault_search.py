"""Searches generated modules for faulty layers, and counts how many are needed (T5)."""

from __future__ import annotations

import random
import statistics
import time
from functools import lru_cache
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from flaxlayer_testing.generate.strategies import cases_of
from flaxlayer_testing.report.record import FaultResult
from flaxlayer_testing.report.report import Status
from flaxlayer_testing.run.running import run_report
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.subject import Subject

__all__ = ["count_examples", "find_fault"]


def count_examples(fault: Any, *, seed: int = 0, seeds: int = 1) -> FaultResult:
    """Counts the generated modules that a search needs to find a faulty layer.

    Args:
        fault: Has the attributes of `flaxlayer_testing.run.samples.Fault`.
        seed: The same modules for the same seed.
        seeds: The number of searches, each with the seed that follows the last one's.

    Returns:
        How many were needed, the median over seeds. The healthy twin is checked on the module
        that shows the fault.
    """
    started, counts, message = time.perf_counter(), [], ""
    for number in range(seed, seed + seeds):
        try:
            case, count = find_fault(fault, number)
        except NoSuchExample:
            sought = f"{fault.check} with {fault.error}: {fault.message!r}"
            message = f"No module that seed {number} generates shows it: {sought}."
            break
        counts.append(count)
        healthy = run_report(Subject.from_case(case), only=[fault.check])
        message = "\n".join(entry.failure_text() for entry in healthy.failures)
        if message:
            break
    needed = statistics.median(counts) if not message else None
    seconds = time.perf_counter() - started
    name = fault.layer.__name__
    return FaultResult(
        name, fault.check, fault.budget, needed, message, tuple(counts), seed, seconds
    )


def find_fault(fault: Any, number: int) -> tuple[Case, int]:
    """Searches for a generated module that shows a fault.

    Args:
        fault: Has the attributes of `flaxlayer_testing.run.samples.Fault`.
        number: The seed of the search.

    Returns:
        The case, and how many were tried; one that was drawn again is not counted again.

    Raises:
        hypothesis.errors.NoSuchExample: If none within the fault's budget does.
    """
    tried: dict[Case, bool] = {}

    def catches(case: Case) -> bool:
        if case not in tried:
            tried[case] = _caught(fault, case)
        return tried[case]

    once = settings(
        max_examples=fault.budget,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    strategy = cases_of(fault.framework)
    return find(strategy, catches, settings=once, random=random.Random(number)), len(tried)


@lru_cache(maxsize=256)
def _shared_subject(case: Case) -> Subject:
    # Faults are sought on the same modules: what raw Flax compiled for one serves the others.
    return Subject.from_case(case)


def _caught(fault: Any, case: Case) -> bool:
    # A faulty layer may change an object that it is given, so each gets one of its own.
    subject = Subject.from_case(case) if case.instance else _shared_subject(case)
    report = run_report(subject.with_layer(fault.layer), only=[fault.check])
    return any(
        entry.status is Status.FAILED
        and entry.error_type == fault.error
        and fault.message in entry.message
        for entry in report.entries
    )
