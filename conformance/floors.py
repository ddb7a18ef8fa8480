"""How often each check runs on generated modules, and does not skip them (T2).

Run: `python -m conformance.floors linen 200` prints the share of each check.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping

from hypothesis import HealthCheck, Phase, given, seed, settings

from flaxlayer_testing import Subject, cases, checks, nnx_cases
from flaxlayer_testing.checks import Need

__all__ = ["FLOOR", "applied", "asked_too_much"]

FLOOR = 0.05
"""The least share of generated modules on which a check must run."""

_CASES = {"linen": cases, "nnx": nnx_cases}

# What no module of a kind has, by what it is.
_NEVER = {"linen": frozenset({Need.OWN_VALUES}), "nnx": frozenset({Need.LINEN})}


def applied(framework: str, modules: int, number: int = 0) -> Mapping[str, float]:
    """Returns the share of generated modules on which each check runs.

    Args:
        framework: What the modules are of: `"linen"` or `"nnx"`.
        modules: How many are generated.
        number: The seed.

    Returns:
        The shares by the names of the checks; those that no module of the kind can have are out.
    """
    known = [c for c in checks(slow=True) if not _NEVER[framework] & set(c.needs)]
    counts: Counter[str] = Counter({check.name: 0 for check in known})
    seen = 0

    @seed(number)
    @settings(
        max_examples=modules,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_CASES[framework]())
    def look(case: object) -> None:
        nonlocal seen
        subject = Subject.from_case(case)
        seen += 1
        counts.update(check.name for check in known if check.missing(subject) is None)

    look()
    return {name: count / seen for name, count in counts.items()}


def asked_too_much(shares: Mapping[str, float]) -> dict[str, float]:
    """Returns the checks that run on fewer modules than the floor says."""
    return {name: share for name, share in shares.items() if share < FLOOR}


if __name__ == "__main__":
    shares = applied(sys.argv[1], int(sys.argv[2]))
    for name, share in sorted(shares.items(), key=lambda item: item[1]):
        print(f"{name:32} {share:6.1%}")
