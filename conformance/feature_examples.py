"""The smallest generated module that shows each feature.

Run: `python -m conformance.feature_examples` after a feature was added; one that is recorded and
still shows its feature is kept, unless `--again` is said. The page of the features shows them.
"""

from __future__ import annotations

import json
import pathlib
import random
import sys
from dataclasses import replace

from hypothesis import HealthCheck, find, settings

from flaxlayer_testing import (
    FEATURES,
    LINEN_FEATURES,
    NNX_FEATURES,
    Case,
    build_nnx_module,
    cases,
    nnx_cases,
    spec_traits,
    value_types,
)
from flaxlayer_testing.errors import ReadSpecError

__all__ = ["RESULTS", "in_nnx", "read_examples", "shows"]

RESULTS = pathlib.Path(__file__).parent / "results" / "feature_examples.json"

_DRAWN = settings(
    max_examples=50,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def read_examples() -> dict[str, Case]:
    """Returns what was recorded: a case for each feature, of linen where linen has the feature."""
    data = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {name: Case.from_data(found) for name, found in data.items()}


def shows(case: Case, feature: str) -> bool:
    """Tells whether a case is a valid module that shows a feature."""
    try:
        value_types(case.spec)
    except ReadSpecError:
        return False
    return feature in spec_traits(case.spec).features


def in_nnx(case: Case, feature: str) -> Case | None:
    """Returns the same module in nnx, None where nnx has not all of it."""
    if feature not in NNX_FEATURES:
        return None
    found = replace(case, framework="nnx")
    try:
        build_nnx_module(found.spec)
    except ReadSpecError:
        return None
    return found


def _smallest(feature: str) -> Case:
    drawn = cases if feature in LINEN_FEATURES else nnx_cases
    strategy = drawn(features=[feature])
    return find(strategy, lambda _: True, settings=_DRAWN, random=random.Random(0))


def main(*, again: bool) -> None:
    """Searches for what is missing, and writes all."""
    known = read_examples() if RESULTS.exists() and not again else {}
    rows = []
    for name in FEATURES:
        kept = known.get(name)
        case = kept if kept and shows(kept, name) else _smallest(name)
        rows.append(f' "{name}": {case.to_json()}')
        print(name, flush=True)
    RESULTS.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(again="--again" in sys.argv)
