"""A printed scenario stands alone, passes for a sound layer, and fails where a faulty one does."""

import runpy
import warnings

import keras
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_testing.scenario.layer_settings import SETTINGS
from flaxlayer_testing.scenario.places import SURROUNDINGS
from flaxlayer_testing.scenario.scenario import Scenario, Step
from flaxlayer_testing.scenario.scenario_program import scenario_program
from flaxlayer_testing.scenario.steps import STEPS
from flaxlayer_testing.spec.spec import Case, ModuleSpec, Node, ValueType

DENSE_OPTIONS = (("features", 2), ("param_dtype", "float32"), ("use_bias", True))
DENSE = ModuleSpec((ValueType((3,)),), (Node("dense", (0,), DENSE_OPTIONS),), (1,))
CALL = Step("call", (("batch", 2), ("seed", 1), ("training", False)))
FREEZE = Step("freeze", (("selector", ("leaf", 0)),))
FIT = Step("fit", (("steps", 1),))


class Thawing(FlaxLayer):
    """Takes a path pattern, and freezes nothing."""

    def freeze(self, *patterns):
        pass


class Doubling(FlaxLayer):
    """Gives twice what the module gives, once it is built."""

    def __call__(self, *args, **kwargs):
        outputs = super().__call__(*args, **kwargs)
        return outputs * 2 if self.built else outputs


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
