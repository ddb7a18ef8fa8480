"""The fuzzer of stored things: what it finds, and that it can find (S2, S3, S6)."""

from collections import Counter

import pytest

from conformance.hostile.campaign import Campaign, cases_of, honest_things
from conformance.hostile.planted import FAULTS, PLANTED
from conformance.hostile.routes import ROUTES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder():
    with honest_things() as folder:
        yield folder


@pytest.mark.law("S6")
def test_what_no_load_may_do_is_seen(folder):
    campaign = Campaign(folder, job="planted")
    campaign.run((name, 0) for name in PLANTED)
    found = {finding.route: str(finding) for finding in campaign.findings}
    assert found.keys() == {name.replace(" ", "-") for name in FAULTS}
    for name, (_, said) in FAULTS.items():
        assert said in found[name.replace(" ", "-")]
    assert campaign.counts["refuses"] == Counter({"refused: DecodeModuleError": 1})
    assert campaign.counts["loads"] == Counter({"model": 1})


@pytest.mark.law("S6")
def test_a_short_run_finds_nothing(folder):
    campaign = Campaign(folder)
    campaign.run(cases_of(ROUTES, 200))
    assert list(map(str, campaign.findings)) == []
    for name, counts in campaign.counts.items():
        assert any(outcome.startswith("refused: ") for outcome in counts), name


@pytest.mark.long
@pytest.mark.law("S6")
def test_a_long_run_finds_nothing(folder):
    campaign = Campaign(folder)
    campaign.run(cases_of(ROUTES, 20_000, first=100_000), workers=2)
    assert list(map(str, campaign.findings)) == []
