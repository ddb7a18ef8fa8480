"""Faulty layers of nnx modules: generated search finds each, and the healthy twin passes (T5)."""

import random

import pytest
from flax import nnx
from hypothesis import Phase, find, settings

from conformance.faults.nnx import NNX_FAULTS
from flaxlayer_testing import Status, Subject, nnx_cases, run_report

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")

SEED = 3


def _entry(subject, check):
    (entry,) = run_report(subject, only=[check]).entries
    return entry


@pytest.mark.law("T5")
@pytest.mark.parametrize("fault", NNX_FAULTS, ids=lambda fault: fault.layer.__name__)
def test_search_finds_the_fault_within_its_budget_and_the_healthy_twin_passes(
    fault, record_property
):
    tried = []

    def catches(case):
        tried.append(case)
        # Of its own: a faulty layer may change the object.
        entry = _entry(Subject.from_case(case, layer=fault.layer), fault.check)
        return (
            entry.status is Status.FAILED
            and entry.error_type == fault.error
            and fault.message in entry.message
        )

    once = settings(max_examples=fault.budget, phases=[Phase.generate], deadline=None)
    case = find(nnx_cases(max_nodes=4), catches, settings=once, random=random.Random(SEED))
    record_property("tried", len(tried))
    entry = _entry(Subject.from_case(case), fault.check)
    assert entry.status is Status.PASSED, entry.failure_text()
