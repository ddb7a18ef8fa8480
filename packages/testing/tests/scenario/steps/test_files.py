"""Models that another process loads (S2, S4)."""

import pytest

from flaxlayer_testing.scenario.course import run_scenario
from flaxlayer_testing.scenario.scenario import Scenario, Step
from flaxlayer_testing.spec.spec import Case, Flag, ModuleSpec, Node, ValueType

NOISY = ModuleSpec(
    (ValueType((3,)),),
    (Node("training_noise", (0,), (("stream", "noise"),)),),
    (1,),
    flag=Flag("training", keyword_only=False, default=None),
)
STEP = Step("load_in_fresh_process", (("known", "registered"),))


@pytest.mark.slow
@pytest.mark.law("S2")
@pytest.mark.parametrize(
    ("settings", "steps"),
    [((), ("load_in_fresh_process",)), ((("seed", "global"),), ())],
    ids=["own seed", "seed of that process"],
)
def test_a_layer_without_a_seed_of_its_own_is_not_compared_elsewhere(settings, steps):
    scenario = Scenario(Case(NOISY), settings=settings, steps=(STEP,))
    assert run_scenario(scenario).steps == steps
