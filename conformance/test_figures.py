"""Figures of runs: how they are summed, what they name, and the page that is made of them (T8)."""

import json

import pytest

from conformance.figures import Figures
from conformance.figures_page import PAGE, page
from conformance.long_scenarios import figures_of
from conformance.precision import measure
from flaxlayer import FlaxLayer
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.report.record import FaultResult, Record
from flaxlayer_testing.report.versions import versions
from flaxlayer_testing.run.law_search import search_scenarios
from flaxlayer_testing.scenario.course import run_scenario
from flaxlayer_testing.scenario.scenario import Scenario


@pytest.mark.slow
@pytest.mark.law("T4")
def test_the_table_bounds_raw_flax_and_the_layer_against_float64():
    counts, worst = measure(2)
    assert sum(counts.values()) == 2
    quantities = {quantity for quantity, _, _ in worst}
    assert quantities == {"outputs", "inference", "state", "gradients", "steps"}
    assert max(worst.values()) < 1


class Reported:
    def __init__(self, nodeid, **recorded):
        self.nodeid, self.user_properties = nodeid, list(recorded.items())


@pytest.mark.law("T8")
def test_figures_are_summed_over_processes():
    shards = [
        Reported(
            "a[0]", checks="calls", modules=3, explained=1, seconds=2.0, errors={"float32": 0.0}
        ),
        Reported(
            "a[1]", checks="calls", modules=5, explained=0, seconds=2.0, errors={"float32": 0.5}
        ),
        Reported("b", tried=7),
        Reported("c"),
    ]
    figures = Figures(shards, [Reported("d")])
    assert list(figures.lines()) == [
        "1 faults found after 7 generated modules (median), 7 at most",
        "8 generated modules through the calls checks in 4 process seconds, 120 a minute for each "
        "process",
    ]
    data = json.loads(figures.to_json(60.0))
    assert data["failed"] == ["d"]
    assert data["versions"] == versions()
    assert {"commit", "flaxlayer", "flaxlayer-core", "flaxlayer-testing"} <= data["versions"].keys()
    total = {"modules": 8, "explained": 1, "process_seconds": 4.0, "errors": {"float32": 0.5}}
    assert data["checked"] == {"calls": total}


class Silent(FlaxLayer):
    """Gives no outputs."""

    def __call__(self, *args, **kwargs):
        raise KeyError("no outputs")


@pytest.mark.law("T9")
def test_a_long_run_keeps_what_it_compared_and_each_bug():
    healthy = search_scenarios(budget=2)
    figures = figures_of(healthy, "linen", 0, 3.0)
    assert (figures["scenarios"], figures["failed"], figures["bugs"]) == (2, 0, [])
    assert sum(figures["compared"].values()) == sum(len(r.entries) for r in healthy.reports) > 0
    faulty = search_scenarios(budget=2, layer=Silent, shrink=False, continue_after_failure=True)
    found = json.loads(json.dumps(figures_of(faulty, "linen", 0, 3.0)))
    assert found["failed"] == sum(bug["count"] for bug in found["bugs"]) == 2
    for bug in found["bugs"]:
        with pytest.raises(KeepLawError, match="no outputs"):
            run_scenario(Scenario.from_json(json.dumps(bug["scenario"])), Silent)


def _write(folder, name, data):
    (folder / name).write_text(json.dumps(data))


@pytest.mark.law("T8")
def test_the_page_tells_what_the_results_hold(tmp_path):
    made = {"created": "2026-11-30 01:02:03 UTC", "versions": {"commit": "abc-dirty", "keras": "3"}}
    total = {"modules": 8, "explained": 1, "process_seconds": 240.0, "errors": {"float32": 0.5}}
    _write(tmp_path, "long.json", {**made, "failed": ["a"], "checked": {"calls": total}})
    _write(tmp_path, "matrix.json", [{"environment": "old", "date": "2026-11-29", "versions": {}}])
    _write(tmp_path, "hostile.json", {"cases": 7, "routes": {"config": {}}, "findings": []})
    _write(tmp_path, "reference.json", {"3.6.0": made})
    some = {"scenarios": 5, "compared": {"call": 4, "fit": 3}, "failed": 2, "bugs": [{}]}
    _write(tmp_path, "scenarios.json", {**some, "seconds": 120})
    faults = (FaultResult("A", "b", 9, 3.0, counts=(3, 3)), FaultResult("B", "b", 9, counts=(9, 9)))
    (tmp_path / "faults.json").write_text(Record(faults=faults, created="2026-11-28").to_json())
    lines = page(tmp_path).splitlines()
    for row in (
        "| `long` | calls | 8 | 1 | 4 | 5.0e-01 |",
        "Tests that failed in these runs: 1.",
        "| `scenarios` | 5 | 7 | 2 | 1 | 2 |",
        "| `faults` | 2 | 1 | 2 | 3 | 3 |",
        "| `hostile` | 7 | 1 | 0 |",
        "| `long` | 2026-11-30 | abc-dirty | not kept | 3 | not kept | not kept |",
        "| `matrix old` | 2026-11-29 |" + " not kept |" * 5,
        "| `reference 3.6.0` | 2026-11-30 | abc-dirty | not kept | 3 | not kept | not kept |",
        "| `hostile` |" + " not kept |" * 6,
    ):
        assert row in lines, row
    assert "## Distances from float64" not in lines


def test_the_page_is_made_from_the_results():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m conformance.figures_page`"
