"""Calls in a context, beside raw Flax in the same (A6)."""

import pytest

from flaxlayer_testing.scenario.course import run_scenario
from flaxlayer_testing.scenario.scenario import Scenario, Step
from flaxlayer_testing.scenario.steps.calls_in_context import CONTEXTS
from flaxlayer_testing.spec.spec import Case, ModuleSpec, Node, ValueType

OPTIONS = (("features", 2), ("param_dtype", "float32"), ("use_bias", True))
TELLS = ModuleSpec((ValueType((3,)),), (Node("dense", (0,), OPTIONS),), (1,), structure="told")


@pytest.mark.law("A6")
@pytest.mark.parametrize("context", CONTEXTS)
def test_a_module_that_tells_how_it_runs_tells_the_same_of_a_layer(context):
    options = {"batch": 2, "context": context, "training": False}
    step = Step("call_in_context", tuple(sorted(options.items())))
    assert run_scenario(Scenario(Case(TELLS), steps=(step,))).steps == ("call_in_context",)
