"""A failure of the harness is not taken for one of the layer, nor the other way round."""

import keras
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_testing.errors import KeepLawError, RunScenarioError
from flaxlayer_testing.oracle.model import LawModel
from flaxlayer_testing.scenario.course import run_scenario
from flaxlayer_testing.scenario.scenario import Scenario, Step
from flaxlayer_testing.scenario.steps import step_kinds
from flaxlayer_testing.spec.spec import Case, ModuleSpec, Node, ValueType

DENSE_OPTIONS = (("features", 2), ("param_dtype", "float32"), ("use_bias", True))
DENSE = ModuleSpec((ValueType((3,)),), (Node("dense", (0,), DENSE_OPTIONS),), (1,))
CALL = Step("call", (("batch", 2), ("seed", 1), ("training", False)))


class Raising(FlaxLayer):
    """Fails once it is built."""

    def __call__(self, *args, **kwargs):
        if self.built:
            raise KeyError("of the layer")
        return super().__call__(*args, **kwargs)


class RefusedByKeras(FlaxLayer):
    """Makes Keras refuse what it is called with, once it is built."""

    def __call__(self, *args, **kwargs):
        if self.built:
            self.input_spec = keras.layers.InputSpec(ndim=7)
        return super().__call__(*args, **kwargs)


def scenario(*steps, surrounding="alone"):
    return Scenario(Case(DENSE), (), surrounding, steps)


@pytest.fixture
def steps():
    """Lets a test enter steps of its own."""
    before = dict(step_kinds._STEPS)
    yield
    step_kinds._STEPS.clear()
    step_kinds._STEPS.update(before)


@pytest.mark.law("T9")
@pytest.mark.parametrize("layer", [Raising, RefusedByKeras])
def test_what_the_layer_or_keras_raises_is_the_layers(layer):
    with pytest.raises(KeepLawError, match=r"step 1, call.*the layer fails"):
        run_scenario(scenario(CALL), layer)


@pytest.mark.law("T9")
def test_what_the_model_of_the_laws_raises_is_of_the_harness(monkeypatch):
    def call(*args, **kwargs):
        raise KeyError("of the oracle")

    monkeypatch.setattr(LawModel, "call", call)
    with pytest.raises(RunScenarioError, match=r"step 1, call.*the harness fails(.|\n)*of the or"):
        run_scenario(scenario(CALL))


@pytest.mark.law("T9")
@pytest.mark.usefixtures("steps")
def test_what_a_step_raises_by_itself_is_of_the_harness():
    @step_kinds.scenario_step("T9")
    def stumble(world):
        """Fails by itself."""
        return world.no_such

    with pytest.raises(RunScenarioError, match="no_such"):
        run_scenario(scenario(CALL, Step("stumble")))


@pytest.mark.law("T9")
@pytest.mark.usefixtures("steps")
def test_what_has_to_be_refused_is_not_refused_by_the_harness():
    @step_kinds.scenario_step("T9")
    def stumble(world):
        """Fails by itself where the layer has to refuse something."""
        world.fails("something", lambda: world.no_such)

    with pytest.raises(RunScenarioError, match="something: the harness fails"):
        run_scenario(scenario(Step("stumble")))


@pytest.mark.law("T9")
@pytest.mark.usefixtures("steps")
def test_an_error_without_words_is_of_the_harness_where_that_raised_it():
    @step_kinds.scenario_step("T9")
    def stumble(world):
        """Fails by itself where the layer has to explain something."""
        world.refused("something", lambda: world.no_such, "T9")

    with pytest.raises(RunScenarioError, match="the harness fails"):
        run_scenario(scenario(Step("stumble")))


@pytest.mark.law("T9")
def test_what_a_module_refuses_under_an_interceptor_is_the_modules():
    decoder = ModuleSpec((ValueType((4, 2)),), (Node("decode", (0,), (("num_heads", 1),)),), (1,))
    options = (("batch", 2), ("context", "interceptor"), ("training", True))
    steps = (Step("call_in_context", options),)
    run_scenario(Scenario(Case(decoder, batch_size=1), (), "alone", steps))
