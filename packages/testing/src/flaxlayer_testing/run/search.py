"""Searches generated modules for one that a layer fails (T1)."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from flaxlayer import FlaxLayer
from flaxlayer_testing.errors import PassChecksError, ReadRecordError, in_short
from flaxlayer_testing.generate.nnx_strategies import nnx_cases
from flaxlayer_testing.generate.strategies import cases
from flaxlayer_testing.report.record import FaultResult
from flaxlayer_testing.report.report import Report, Status
from flaxlayer_testing.run.naming import layer_name
from flaxlayer_testing.run.running import run_report
from flaxlayer_testing.spec.spec import Case, Framework
from flaxlayer_testing.stored import mapping, parse, read, text
from flaxlayer_testing.subject.layer import LayerFactory
from flaxlayer_testing.subject.subject import Subject

__all__ = ["OURS", "Failure", "SearchResult", "count_examples", "find_fault", "search"]

OURS = "flaxlayer:FlaxLayer"

_CASES: Mapping[str, Callable[[], SearchStrategy[Case]]] = {"linen": cases, "nnx": nnx_cases}

_QUIET: dict[str, Any] = {
    "database": None,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}


@dataclass(frozen=True)
class Failure:
    """A generated case that a layer fails, as it is saved and replayed.

    Attributes:
        case: The case.
        check: The check that fails.
        layer: The layer as `module:name`.
    """

    case: Case
    check: str
    layer: str = OURS

    def save(self, path: Path) -> None:
        """Writes the failure into a JSON file, and makes its folder."""
        case = json.loads(self.case.to_json())
        path.parent.mkdir(parents=True, exist_ok=True)
        data = {"format": 1, "check": self.check, "layer": self.layer, "case": case}
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Failure:
        """Reads what `save` wrote.

        Args:
            path: A file.

        Returns:
            An equal failure.

        Raises:
            ReadRecordError: If it holds no failure.
        """
        try:
            data = mapping(parse(read(path)))
            return cls(Case.from_data(data["case"]), text(data["check"]), text(data["layer"]))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ReadRecordError(
                f"{path} holds no failure to replay.",
                expected="a file that `flaxlayer-conformance search` saved",
                found=in_short(error),
                fix="Name that file.",
                law="T8",
            ) from error


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        reports: Those of the modules that passed.
        failure: The smallest case that fails, if any.
    """

    reports: tuple[Report, ...]
    failure: Failure | None = None


def search(
    *,
    examples: int = 100,
    seed: int = 0,
    layer: LayerFactory = FlaxLayer,
    only: Iterable[str] | None = None,
    framework: Framework = "linen",
) -> SearchResult:
    """Checks generated modules until one fails, and shrinks that one.

    Args:
        examples: The most modules to generate.
        seed: The same modules for the same seed.
        layer: Makes the layer under test.
        only: Names of checks; all if not given.
        framework: What the modules are of: `"linen"` or `"nnx"`.

    Returns:
        The reports of what passed, and the smallest failing case.

    Raises:
        SelectCheckError: If a check does not exist.

    Example:

    ```python
    >>> search(examples=2, only=["check_seed"]).failure is None
    True

    ```
    """
    hunt = _Hunt(layer, None if only is None else tuple(only))
    try:
        _run(hunt, _CASES[framework](), examples, seed)
    except PassChecksError:
        return SearchResult(tuple(hunt.passed), hunt.failure)
    return SearchResult(tuple(hunt.passed))


class _Hunt:
    """The body of a Hypothesis test; after a first failure, it asks for that check alone."""

    def __init__(self, layer: LayerFactory, only: tuple[str, ...] | None) -> None:
        self.layer = layer
        self.only = only
        self.passed: list[Report] = []
        self.failure: Failure | None = None

    def __call__(self, case: Case) -> None:
        report = run_report(Subject.from_case(case, layer=self.layer), only=self.only)
        if report.failures:
            check = report.failures[0].check
            # Shrinking ends with the smallest case, so the last failure is the one to keep.
            self.failure = Failure(case, check, layer_name(self.layer))
            self.only = (check,)
        elif self.failure is None:
            self.passed.append(report)
        report.raise_for_failures()


def _run(
    hunt: Callable[[Case], None], strategy: SearchStrategy[Case], examples: int, number: int
) -> None:
    phases = [Phase.generate, Phase.shrink]

    @seed(number)
    @settings(max_examples=examples, phases=phases, derandomize=False, print_blob=False, **_QUIET)
    @given(strategy)
    def run(case: Case) -> None:
        hunt(case)

    run()


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
        The case, and how many were tried.

    Raises:
        hypothesis.errors.NoSuchExample: If none within the fault's budget does.
    """
    tried: list[Case] = []

    def catches(case: Case) -> bool:
        tried.append(case)
        return _caught(fault, case)

    once = settings(max_examples=fault.budget, phases=[Phase.generate], **_QUIET)
    strategy = _CASES[fault.framework]()
    return find(strategy, catches, settings=once, random=random.Random(number)), len(tried)


@lru_cache(maxsize=256)
def _shared_subject(case: Case) -> Subject:
    # Faults are sought on the same modules: what raw Flax compiled for one serves the others.
    return Subject.from_case(case)


def _caught(fault: Any, case: Case) -> bool:
    # A faulty layer may change an nnx object, so each gets one of its own.
    subject = Subject.from_case(case) if case.framework == "nnx" else _shared_subject(case)
    report = run_report(subject.with_layer(fault.layer), only=[fault.check])
    return any(
        entry.status is Status.FAILED
        and entry.error_type == fault.error
        and fault.message in entry.message
        for entry in report.entries
    )
