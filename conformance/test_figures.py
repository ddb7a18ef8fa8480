"""The figures of the long runs are in the repository, and of runs without a mismatch (T8)."""

import json
from pathlib import Path

import pytest

from conformance.figures import Figures

RESULTS = Path(__file__).parent / "results"
LEAST = {
    "long_linen.json": {"build, call and state": 1000},
    "long_linen_models.json": {"model": 120},
    "long_nnx.json": {"nnx build, call and state": 500},
    "long_nnx_models.json": {"nnx model": 120, "nnx build, call and state": 90},
    "long_tensorflow.json": {"linen on TensorFlow": 200, "nnx on TensorFlow": 100},
}
"""How many modules each run examined at least; written by `--figures`."""


@pytest.mark.law("T1")
@pytest.mark.parametrize("name", LEAST)
def test_a_long_run_is_recorded(name):
    record = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    assert record["failed"] == []
    for checks, least in LEAST[name].items():
        assert record["checked"][checks]["modules"] >= least


@pytest.mark.law("T4")
def test_the_table_bounds_what_was_measured_against_float64():
    record = json.loads((RESULTS / "precision_tensorflow.json").read_text(encoding="utf-8"))
    assert record["modules"].keys() >= {"float32", "float16", "bfloat16"}
    measured = record["units of the tolerance"]
    assert measured.keys() == {"outputs", "inference", "state", "gradients", "steps"}
    for by_dtype in measured.values():
        assert by_dtype.keys() == record["modules"].keys()
        assert max(units for found in by_dtype.values() for units in found.values()) < 1


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
    total = {"modules": 8, "explained": 1, "process_seconds": 4.0, "errors": {"float32": 0.5}}
    assert data["checked"] == {"calls": total}
