"""A printed scenario stands alone, passes for a sound layer, and fails where a faulty one does."""

import contextlib
import os
import re
import runpy
import subprocess
import sys
import traceback
import warnings
from dataclasses import replace

import jax
import keras
import pytest

from flaxlayer import FlaxLayer, FlaxLayerError
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.scenario.course import run_scenario
from flaxlayer_testing.scenario.layer_settings import SETTINGS
from flaxlayer_testing.scenario.places import SURROUNDINGS
from flaxlayer_testing.scenario.scenario import Scenario, Step
from flaxlayer_testing.scenario.scenario_program import scenario_program
from flaxlayer_testing.scenario.steps import STEPS, step_kinds
from flaxlayer_testing.spec.extras import Extra
from flaxlayer_testing.spec.spec import Case, Flag, ModuleSpec, Node, ValueType
from packages.testing.tests.scenario.drawing import drawn

DENSE_OPTIONS = (("features", 2), ("param_dtype", "float32"), ("use_bias", True))
DENSE = ModuleSpec((ValueType((3,)),), (Node("dense", (0,), DENSE_OPTIONS),), (1,))
CALL = Step("call", (("batch", 2), ("seed", 1), ("training", False)))
FREEZE = Step("freeze", (("selector", ("leaf", 0)),))
KNOWN = (("known", "registered"),)
NO_HARNESS = "sys.modules['flaxlayer_testing'] = None  # which cannot be imported"
PEEK = Step("peek", (("training", True),))
WRONG = Step("wrong_variables", (("kind", "last"),))
FIT = Step("fit", (("steps", 1),))


class Thawed(FlaxLayer):
    """Takes a path pattern, and freezes nothing."""

    def freeze(self, *patterns):
        pass


class Doubling(FlaxLayer):
    """Gives twice what the module gives."""

    def call(self, *args, **kwargs):
        return jax.tree.map(lambda y: y * 2, super().call(*args, **kwargs))


class Draining(FlaxLayer):
    """Draws a seed where it only shows the next keys."""

    def peek_rngs(self, **mode):
        keys = super().peek_rngs(**mode)
        self.seed_generator.next()
        return keys


class Credulous(FlaxLayer):
    """Takes any variables, and keeps those that fit."""

    def load_flax_variables(self, variables):
        with contextlib.suppress(FlaxLayerError):
            super().load_flax_variables(variables)


class Misbuilt(FlaxLayer):
    """Starts from the values of another seed."""

    def __init__(self, module, *, seed=None, **settings):
        super().__init__(module, seed=(seed or 0) + 1, **settings)


class Raising(FlaxLayer):
    """Fails once it is built."""

    def __call__(self, *args, **kwargs):
        if self.built:
            raise KeyError("of the layer")
        return super().__call__(*args, **kwargs)


def scenario(*steps, settings=(), surrounding="alone", framework="linen"):
    return Scenario(Case(DENSE, framework=framework), settings, surrounding, steps)


@pytest.fixture
def run(tmp_path):
    """Runs a program as a file."""

    def run(text):
        path = tmp_path / "program.py"
        path.write_text(text)
        before = keras.config.dtype_policy()
        with warnings.catch_warnings():
            try:
                return runpy.run_path(str(path), run_name="__main__")
            finally:
                keras.config.set_dtype_policy(before)

    return run


@pytest.mark.law("T1", "T9")
def test_every_part_of_a_scenario_has_a_text():
    parts = [*STEPS.values(), *SURROUNDINGS.values(), *SETTINGS.values()]
    assert [part for part in parts if part.text is None] == []


@pytest.mark.law("T1", "T9")
@pytest.mark.parametrize("framework", ["linen", "nnx"])
def test_a_program_needs_nothing_of_the_harness_and_passes_for_the_layer(run, framework):
    text = scenario_program(scenario(FREEZE, CALL, FIT, framework=framework))
    assert "flaxlayer_testing" not in text
    assert [line for line in text.splitlines() if line.startswith("# ")] == [
        "# The scenario.",
        "# 1. freeze(selector=('leaf', 0))",
        "# 2. call(batch=2, seed=1, training=False)",
        "# 3. fit(steps=1)",
    ]
    run(text)


def part_that_fails(text, error):
    """The comment above the line of a program that raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.name == "<module>"]
    above = text.splitlines()[: frames[-1].lineno]
    return [line for line in above if line.startswith("# ")][-1]


@pytest.mark.law("T1", "T5", "T9")
@pytest.mark.parametrize(
    ("layer", "steps", "settings", "words"),
    [
        (Doubling, (FREEZE, CALL), (), " != "),
        (Thawed, (CALL, FREEZE), (), "trainable"),
        (Draining, (PEEK,), (), "the seed generator"),
        (Credulous, (WRONG,), (), "It was not refused"),
        pytest.param(Misbuilt, (CALL,), (), " != ", marks=pytest.mark.slow),
        (Raising, (CALL,), (), "of the layer"),
        pytest.param(Thawed, (), (("frozen", ("leaf", 0)),), "trainable", marks=pytest.mark.slow),
    ],
    ids=["outputs", "frozen", "seed", "refusal", "values", "error", "setting"],
)
def test_a_program_fails_where_the_layer_does_and_passes_for_its_twin(
    run, layer, steps, settings, words
):
    broken = scenario(*steps, settings=settings)
    with pytest.raises(KeepLawError) as law:
        run_scenario(broken, layer)
    text = scenario_program(broken, layer)
    with pytest.raises((AssertionError, KeyError), match=words) as found:
        run(text)
    where = str(law.value).partition(":")[0]
    part = part_that_fails(text, found.value)
    assert part == (
        "# The scenario." if where == "the build" else f"# {where[5:].replace(', ', '. ', 1)}"
    )
    run(scenario_program(broken))


@pytest.mark.law("T1", "T9")
def test_a_first_call_that_raw_flax_refuses_leaves_nothing_to_compare(run):
    inputs = (ValueType((4, 2)), ValueType((4,), "bool"))
    mean, times = Node("masked_mean", (0, 1)), Extra("times")  # behind it, no mask has a default
    spec = ModuleSpec(inputs, (mean,), (2,), mask=True, extras=(times,))
    settings = (("build", "late"), ("mask_arg", None))
    refused = Scenario(Case(spec, given=(("times", 1),)), settings, "behind_mask", (FIT, CALL))
    assert run_scenario(refused).steps == ("call",)  # what raw Flax refuses is not trained
    text = scenario_program(refused)
    assert "fails(lambda: run(" in text
    run(text)


@pytest.mark.law("T1", "T9")
def test_a_model_that_a_refused_call_has_given_a_shape_is_made_anew(run):
    # A cache of one row takes no others; Keras's Sequential keeps the shape of a first call.
    decode = Node("decode", (0,), (("num_heads", 2),))
    case = Case(ModuleSpec((ValueType((4, 2)),), (decode,), (1,)), batch_size=1)
    rows = [Step("call", (("batch", batch), *CALL.options[1:])) for batch in (0, 1)]
    loaded = Step("load_weights", (("into", "never called"),))
    refused = Scenario(case, surrounding="sequential", steps=(loaded, *rows))
    run_scenario(refused)
    run(scenario_program(refused))


@pytest.mark.law("T1", "T9", "C7")
@pytest.mark.parametrize("at_inference", [True, False])
def test_a_model_of_a_graph_gives_what_both_modes_sow(run, at_inference):
    # A graph has the outputs that it was made with, in inference.
    sow = Node("sow_loss", (0,), (("at_inference", at_inference),))
    nodes = (sow, replace(DENSE.nodes[0], args=(1,)))
    case = Case(replace(DENSE, nodes=nodes, outputs=(2,), flag=Flag("train")))
    trains = Step("call", (*CALL.options[:2], ("training", True)))
    one = Scenario(case, (("return_sown", "one"),), "functional", (CALL, trains))
    run_scenario(one)
    text = scenario_program(one)
    assert ("functional(layer" in text) == at_inference
    run(text)


@pytest.mark.slow
@pytest.mark.law("T1", "T9")
def test_a_program_runs_as_a_file_where_the_harness_is_not(tmp_path):
    path = tmp_path / "program.py"
    routes = (Step("reload", (("route", "pickle"),)), Step("load_in_fresh_process", KNOWN))
    path.write_text(scenario_program(scenario(CALL, *routes)))
    (tmp_path / "sitecustomize.py").write_text(f"import sys\n{NO_HARNESS}\n")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, path], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    broken = path.read_text().replace(
        "layer = Layer(module, seed=0", "layer = Layer(module, seed=1"
    )
    path.write_text(broken)
    done = subprocess.run(
        [sys.executable, path], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "AssertionError" in done.stderr


@pytest.mark.law("T1", "T9", "S1")
def test_a_program_of_an_object_of_nnx_stores_it(run):
    case = Case(DENSE, framework="nnx", instance=True)
    reload = Step("reload", (("route", "file"),))
    run(scenario_program(Scenario(case, steps=(reload, CALL))))


def test_there_is_no_program_for_what_cannot_be_imported_or_has_no_text(monkeypatch):
    assert scenario_program(scenario(CALL), lambda *args, **settings: None) == ""
    monkeypatch.setitem(step_kinds._STEPS, "call", replace(STEPS["call"], text=None))
    assert scenario_program(scenario(CALL)) == ""


@pytest.mark.law("T9")
def test_what_keras_says_of_a_wrong_file_ends_no_program():
    wrong = Step("wrong_file", (("built", True), ("kind", "missing")))
    one = scenario(wrong, CALL, surrounding="functional")
    warnings.filterwarnings("error", category=UserWarning)
    assert "# 2. call" in scenario_program(one)
    assert run_scenario(one).steps == ("wrong_file", "call")


@pytest.mark.law("T1", "T9")
def test_what_a_fit_lends_is_not_taken_for_what_the_layer_was_given(run):
    one = scenario(CALL, FIT, CALL, settings=(("variables", "partial"),))
    assert run_scenario(one).settings == ("variables",)
    text = scenario_program(one)
    assert "load_flax_variables" in text.partition("fit(")[2]
    run(text)


@pytest.mark.law("T1", "T9")
@pytest.mark.parametrize("framework", ["linen", "nnx"])
@pytest.mark.parametrize(
    ("count", "number"),
    [pytest.param(6, 2, marks=pytest.mark.slow), pytest.param(60, 1, marks=pytest.mark.long)],
    ids=["some", "many"],
)
def test_the_programs_of_drawn_scenarios_pass(run, framework, count, number):
    for one in drawn(framework, count, number):
        text = scenario_program(one)
        taken = [line for line in text.splitlines() if re.match(r"# \d+\. ", line)]
        assert len(taken) == len(run_scenario(one).steps)
        run(text)
