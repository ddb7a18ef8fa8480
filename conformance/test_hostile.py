"""The fuzzer of stored things: what it finds, and that it can find (S2, S3, S6)."""

from collections import Counter
from pathlib import Path

import pytest

from conformance.hostile.campaign import Campaign, honest_things
from conformance.hostile.planted import FAULTS, PLANTED

RECORD = Path(__file__).parent / "results" / "hostile.json"


@pytest.fixture(scope="module")
def folder():
    with honest_things() as folder:
        yield folder


@pytest.fixture(scope="module")
def planted(folder):
    campaign = Campaign(folder, job="planted")
    campaign.run((name, 0) for name in PLANTED)
    return campaign


@pytest.mark.law("S6")
@pytest.mark.parametrize("name", FAULTS)
def test_what_no_load_may_do_is_seen(name, planted):
    found = {finding.route: str(finding) for finding in planted.findings}
    assert FAULTS[name][1] in found[name.replace(" ", "-")]


@pytest.mark.law("S6")
def test_what_a_load_may_do_is_no_finding(planted):
    assert planted.counts["refuses"] == Counter({"refused: DecodeModuleError": 1})
    assert planted.counts["loads"] == Counter({"model": 1})
    assert {finding.route for finding in planted.findings}.isdisjoint({"refuses", "loads"})
