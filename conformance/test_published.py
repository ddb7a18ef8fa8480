"""The field's entries, data and page agree; the packages themselves are elsewhere (./dev field)."""

import pytest

from conformance.field.entries import ENTRIES, PINS
from conformance.field.entry import DOMAINS, SCENARIO, Published, normal
from conformance.field.record import PAGE, condensed, merged, page, recorded, written
from conformance.field.scenario import Use
from flaxlayer_testing import Entry, Record, Report, Status, checks

FAILURES = [
    (entry, failure) for entry in ENTRIES for known in entry.known.values() for failure in known
]


@pytest.mark.law("T12")
def test_many_modules_of_many_packages_stand_for_every_domain():
    assert len(ENTRIES) >= 60
    assert len({entry.package for entry in ENTRIES}) >= 20
    assert {entry.domain for entry in ENTRIES} == set(DOMAINS)


def test_each_entry_has_a_title_of_its_own_and_a_pinned_package():
    titles = [entry.title for entry in ENTRIES]
    assert sorted({title for title in titles if titles.count(title) > 1}) == []
    assert {entry.package for entry in ENTRIES} <= PINS.keys()


@pytest.mark.law("T6")
def test_a_known_failure_names_a_check_a_reason_and_the_version_that_is_pinned():
    names = {SCENARIO, *(check.name for check in checks())}
    for entry, failure in FAILURES:
        assert failure.check in names
        assert failure.error and failure.message and failure.reason
        assert f"{entry.package} {PINS[entry.package]}" in failure.versions


@pytest.mark.law("T8")
def test_what_is_kept_is_of_the_entries_and_says_what_is_known():
    modules = recorded()["modules"]
    assert list(modules) == [entry.title for entry in ENTRIES]
    for entry in ENTRIES:
        for backend, found in modules[entry.title].items():
            assert "failed" not in found
            known = {failure.check for failure in entry.known_on(backend)}
            # On TensorFlow the scenario alone runs.
            names = known if backend == "jax" else known & {SCENARIO}
            assert set(found.get("known", ())) == names


def test_a_run_is_condensed_to_how_each_check_ended():
    title = ENTRIES[0].title
    parts = [("check_seed", Status.PASSED), ("check_sown", Status.SKIPPED)]
    entries = tuple(Entry(name, (), status, seconds=1.25) for name, status in parts)
    use = (Entry(SCENARIO, (), Status.EXPECTED, seconds=1.0),)
    reports = (
        Report(title, "l", entries, {"keras": "3"}),
        Report(f"{title} (in use)", "l", use, {}),
    )
    found = condensed(Record(reports))
    expected = {"commit": "", "seconds": 3.5, "passed": ["check_seed"], "skipped": ["check_sown"]}
    assert found["modules"] == {title: {"jax": {**expected, "known": [SCENARIO]}}}
    assert f'  "{title}": ' in written(found)


def test_a_module_that_ended_well_takes_the_place_of_what_was_kept_and_another_does_not():
    first, second, *_ = (entry.title for entry in ENTRIES)
    well, badly = {"passed": [SCENARIO, "check_seed"]}, {"passed": [SCENARIO], "failed": ["x"]}
    kept = {"jax": {"passed": [SCENARIO]}, "tensorflow": {"known": [SCENARIO]}}
    known = {"versions": {"jax": {}}, "modules": {first: kept, second: kept, "gone": kept}}
    half = {"passed": ["check_seed"]}
    modules = {first: {"jax": well}, second: {"jax": badly, "tensorflow": half}}
    after = merged(known, {"created": "now", "versions": {}, "modules": modules})
    assert after["modules"][first] == {**kept, "jax": well}
    assert after["modules"][second] == kept
    assert list(after["modules"]) == [entry.title for entry in ENTRIES]


def test_the_page_is_made_from_the_data():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m conformance.field --page`"


@pytest.mark.slow
@pytest.mark.law("T12")
def test_the_scenario_of_the_field_runs_on_a_module_of_flax():
    Use(
        Published("flax", "flax.linen:Dense", "other", lambda kind: (kind(3), (normal(4, 5),)))
    ).run()
