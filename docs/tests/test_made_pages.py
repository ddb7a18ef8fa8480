"""The pages that programs make say all that they are made of."""

import re

import pytest

from conformance.failures import read_failures
from conformance.faults import FAULTS
from conformance.field.entries import ENTRIES
from docs.site.check_advice import BY_CHECK, BY_TOPIC
from docs.site.check_pages import check_pages
from docs.site.command_page import command_page
from docs.site.feature_page import feature_page
from docs.site.gallery_page import gallery_page
from flaxlayer_testing import FEATURES, checks

CHECKS = {one.name for one in checks(slow=True)}


def test_each_check_has_a_page_with_a_recorded_failure():
    pages = check_pages()
    assert {f"checks/{name}.md" for name in [*CHECKS, "index"]} == set(pages)
    assert [name for name in CHECKS if "## How it fails" not in pages[f"checks/{name}.md"]] == []


def test_advice_is_of_checks_and_topics_that_are_there():
    topics = {one.home.rpartition(".")[2] for one in checks(slow=True)}
    assert set(BY_TOPIC) == topics
    assert set(BY_CHECK) <= CHECKS


def test_a_recorded_failure_is_of_a_fault_that_the_check_must_catch():
    known = {(fault.check, fault.layer.__name__, fault.error) for fault in FAULTS}
    recorded = {(check, one["fault"], one["error"]) for check, one in read_failures().items()}
    assert recorded <= known
    assert {check for check, _, _ in recorded} == CHECKS


def test_the_page_of_the_command_has_each_of_its_parts():
    text = command_page()["api/command.md"]
    parts = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    assert parts == ["check", "search", "scenarios", "replay", "zoo", "faults", "report"]
    assert "`--continue-after-failure`" in text


@pytest.mark.parametrize(
    ("page", "names"),
    [
        (feature_page()["api/features.md"], [f"\n### `{name}`\n" for name in FEATURES]),
        (gallery_page()["gallery.md"], [one.kind.rpartition(":")[2] for one in ENTRIES]),
    ],
    ids=["features", "gallery"],
)
def test_a_page_has_each_of_its_entries(page, names):
    assert [name for name in names if name not in page] == []
    assert len(names) > 50
