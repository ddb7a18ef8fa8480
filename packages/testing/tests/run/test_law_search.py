"""A search over scenarios finds faulty layers, shrinks, saves and replays."""

import keras
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_testing.errors import KeepLawError, ReadRecordError, RunScenarioError
from flaxlayer_testing.oracle.model import LawModel
from flaxlayer_testing.report.statistics import Ending
from flaxlayer_testing.run.broken_law import BrokenLaw
from flaxlayer_testing.run.law_search import search_scenarios
from flaxlayer_testing.scenario.course import run_scenario
from flaxlayer_testing.scenario.scenario import Scenario, Step
from flaxlayer_testing.spec.spec import Case, Flag, ModuleSpec, Node, ValueType

SLOW = pytest.mark.slow
DENSE = ModuleSpec((ValueType((3,)),), (Node("dense", (0,), (("features", 2),)),), (1,))
BATCH_NORM = Node("batch_norm", (0,), (("momentum", 0.9), ("use_scale", True)))
NORM = ModuleSpec((ValueType((3,)),), (BATCH_NORM,), (1,), flag=Flag("train"))


class NeverFrozen(FlaxLayer):
    """Keeps nothing of what is frozen."""

    def freeze(self, *patterns):
        """Does nothing."""


class Thawed(FlaxLayer):
    """Writes state although it may not change."""

    @property
    def trainable(self):
        return True

    @trainable.setter
    def trainable(self, value):
        keras.layers.Layer.trainable.fset(self, True)


class Restarting(FlaxLayer):
    """Draws the same keys after it was loaded."""

    @classmethod
    def from_config(cls, config):
        layer = super().from_config(config)
        layer.frozen = True
        return layer

    def get_config(self):
        config = super().get_config()
        return {**config, "seed": (config.get("seed") or 0) + 1}


class Failing(FlaxLayer):
    """Fails where it is called."""

    def __call__(self, *args, **kwargs):
        raise KeyError("no")


def a_step(kind, **options):
    return Step(kind, tuple(sorted(options.items())))


CALL = a_step("call", batch=2, seed=1, statics=0, training=True)


@pytest.mark.law("T9")
@pytest.mark.parametrize("framework", ["linen", "nnx"])
@pytest.mark.parametrize("budget", [1, pytest.param(12, marks=SLOW)])
def test_our_layer_keeps_the_laws(framework, budget):
    result = search_scenarios(budget=budget, seed=3, framework=framework)
    assert result.found is None
    assert result.statistics.distinct == len(result.reports) == budget


@pytest.mark.law("T5", "T9")
@pytest.mark.parametrize("layer", [pytest.param(Thawed, marks=SLOW), Restarting])
def test_a_faulty_layer_is_found(layer):
    assert search_scenarios(budget=200, layer=layer, shrink=False).found is not None


@pytest.mark.law("T5", "T9")
@pytest.mark.parametrize(
    ("layer", "words"), [(Failing, "KeyError"), pytest.param(NeverFrozen, "C5", marks=SLOW)]
)
def test_what_is_found_is_shrunk_saved_and_replayed(tmp_path, layer, words):
    (shown,) = search_scenarios(budget=200, layer=layer).bugs
    found = shown.broken
    assert len(found.scenario.case.spec.nodes) == len(found.scenario.steps) == 1
    found.save(tmp_path / "found" / "one.json")
    again = BrokenLaw.load(tmp_path / "found" / "one.json")
    assert again == found
    with pytest.raises(KeepLawError, match=words):
        run_scenario(again.scenario, layer)
    run_scenario(again.scenario)
    (entry,) = shown.report.failures
    assert f"import {layer.__name__} as Layer" in entry.program
    assert entry.program in entry.failure_text()
    assert entry.failure_text().splitlines()[-1] == f"Replay: {entry.replay}"


@pytest.mark.law("T1", "T9")
def test_a_search_that_goes_on_tells_bugs_apart_and_stops_in_time():
    options = {"budget": 6, "layer": Failing, "shrink": False}
    result = search_scenarios(**options, continue_after_failure=True)
    assert len(result.reports) + len(result.failed) == 6
    assert sum(found.count for found in result.bugs) == len(result.failed) > 1
    assert len({found.bug for found in result.bugs}) == len(result.bugs)
    late = search_scenarios(**options, max_time=0)
    assert (late.statistics.distinct, late.statistics.ending) == (0, Ending.TIME)


@pytest.mark.slow
@pytest.mark.law("T1", "T9")
def test_several_processes_find_what_one_finds():
    one, two = (search_scenarios(budget=6, seed=3, workers=workers) for workers in (1, 2))
    taken = [[entry.check for report in s.reports for entry in report.entries] for s in (one, two)]
    assert taken[0] == taken[1] != []


@pytest.mark.law("T9")
def test_a_failure_of_the_harness_ends_the_search(monkeypatch):
    def call(*args, **kwargs):
        raise KeyError("of the oracle")

    monkeypatch.setattr(LawModel, "call", call)
    with pytest.raises(RunScenarioError, match="the harness fails"):
        search_scenarios(budget=20, seed=1)
    found = search_scenarios(budget=3, seed=1, continue_after_failure=True, shrink=False)
    assert found.statistics.distinct == 3
    assert {one.bug.error for one in found.bugs} == {"RunScenarioError"}
    assert all("Report it with the scenario" in one.broken.message for one in found.bugs)


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ReadRecordError, match="no scenario"):
        BrokenLaw.load(tmp_path / "a.json")


@pytest.mark.law("C5")
def test_state_written_while_frozen_is_named_with_its_step():
    frozen = a_step("freeze", selector=("all", 0))
    scenario = Scenario(Case(NORM), (), "alone", (frozen, CALL))
    words = r"step 1, freeze.*Other variables are trainable after a freeze"
    with pytest.raises(KeepLawError, match=words) as caught:
        run_scenario(scenario, NeverFrozen)
    assert "C5" in str(caught.value)


def test_a_scenario_tells_what_took_place():
    settings = (("losses", "all"), ("state_updates", "never"))
    trace = run_scenario(Scenario(Case(NORM), settings, "functional", (CALL,)))
    assert trace.settings == ("state_updates",)  # the module sows nothing
    assert trace.surrounding == "functional"
    assert trace.steps == ("call",)


@pytest.mark.law("T9")
def test_a_layer_that_returns_sown_values_is_not_put_over_time():
    sow = Node("sow_value", (0,), ())
    spec = ModuleSpec((ValueType((4, 2)),), (sow,), (1,))
    trace = run_scenario(Scenario(Case(spec), (("return_sown", "all"),), "time_distributed", ()))
    assert trace.surrounding == "alone"


@pytest.mark.law("A2", "T9")
def test_a_mask_that_a_call_can_do_without_is_not_missed():
    inputs = (ValueType((4, 2)), ValueType((4,), "bool"))
    masked = ModuleSpec(inputs, (Node("masked_mean", (0, 1)),), (2,), mask=True)
    missing = Step("wrong_arguments", (("kind", "missing"),))
    run_scenario(Scenario(Case(masked), steps=(missing,)))
