"""What is to find a mutant: run in the mutant's own process, where ours is imported for it.

Each returns what JSON can hold: `counts`, for each search how many different cases it took, None
where nothing was found, until more searches cannot change if the median is found; and of the first
find `by`, what found it, and its `message`.

Run as a program, it checks the zoo's rich modules once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from conformance.mutants.tools.record import is_decided

__all__ = ["RICH", "check_zoo", "counted", "kill", "search_modules", "search_scenarios"]

RICH = ("FrozenAndFiled", "StaticArguments", "SowsLoss", "Masked", "Given")
"""Entries of the zoo with state, streams, static arguments, losses, masks and an nnx object."""

Find: TypeAlias = tuple[int, str, str] | None
"""How many cases it took, what found it, and the message; None where nothing was found."""


def check_zoo(seed: int = 0, seeds: int = 1, budget: int = len(RICH)) -> dict[str, Any]:
    """Checks rich modules of the zoo until one fails; they are the same for each seed."""
    del seeds
    return counted(lambda _: _check_zoo(RICH[:budget]), seed, 1)


def _check_zoo(names: tuple[str, ...]) -> Find:
    from conformance.zoo import every_entry
    from flaxlayer_testing import run_report
    from flaxlayer_testing.run.samples import subject_of

    entries = {entry.name: entry for entry in every_entry()}
    for count, name in enumerate(names, 1):
        report = run_report(subject_of(entries[name]), expected_failures=entries[name].known)
        if report.failures:
            first = report.failures[0]
            return count, f"{name}: {first.check}", first.message
    return None


def search_scenarios(
    seed: int, seeds: int, budget: int, framework: str = "linen"
) -> dict[str, Any]:
    """Runs generated scenarios until one breaks a law (T9)."""
    return counted(lambda number: _search_scenarios(number, budget, framework), seed, seeds)


def _search_scenarios(number: int, budget: int, framework: str) -> Find:
    from flaxlayer_testing.run.law_search import search_scenarios

    result = search_scenarios(budget=budget, seed=number, framework=framework, shrink=False)
    if result.found is None:
        return None
    message = f"{result.bugs[0].bug.check}: {result.found.message}"
    return result.statistics.distinct, message.partition("\n")[0][:200], message


def search_modules(seed: int, seeds: int, budget: int) -> dict[str, Any]:
    """Checks generated modules, as `flaxlayer-conformance search` does, until one fails."""
    return counted(lambda number: _search_modules(number, budget), seed, seeds)


def _search_modules(number: int, budget: int) -> Find:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    from flaxlayer_testing import Subject, cases, run_report

    seen: set[Any] = set()
    found: list[tuple[int, str, str]] = []

    @seeded(number)
    @settings(
        max_examples=budget,
        phases=[Phase.generate],
        derandomize=False,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def run(case: Any) -> None:
        if found or case.spec in seen:
            return
        seen.add(case.spec)
        report = run_report(Subject.from_case(case))
        if report.failures:
            first = report.failures[0]
            found.append((len(seen), first.check, first.message))

    run()
    return found[0] if found else None


def kill(budget: int) -> dict[str, Any]:
    """Looks for a change with all that conformance has, the quick things first.

    Args:
        budget: The most generated scenarios, of linen and of nnx each.
    """
    found = check_zoo()
    for framework in ("linen", "nnx"):
        found = found if found["by"] else search_scenarios(0, 1, budget, framework)
    return found


def counted(run: Callable[[int], Find], seed: int, seeds: int) -> dict[str, Any]:
    """Runs searches until more of them cannot change if the median is found.

    Args:
        run: Searches with a seed.
        seed: The first seed.
        seeds: How many searches the median is of.
    """
    first: tuple[int | None, str, str] = (None, "", "")
    counts: list[int | None] = []
    while not is_decided(counts, seeds):
        find = run(seed + len(counts))
        counts.append(None if find is None else find[0])
        first = find if find is not None and not first[1] else first
    return {"counts": counts, "by": first[1], "message": first[2][:1000]}


if __name__ == "__main__":
    result = check_zoo()
    print(result["message"] or "nothing was found")
    sys.exit(0 if result["counts"] == [None] else 1)
