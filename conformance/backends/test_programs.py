"""Programs that are printed on a backend run there, and fail where the layer does (T1, T9)."""

import runpy
import warnings

import jax
import keras
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_testing import Case, Subject, failing_program
from flaxlayer_testing.scenario.scenario import Scenario, Step
from flaxlayer_testing.scenario.scenario_program import scenario_program
from flaxlayer_testing.spec.spec import ModuleSpec, Node, ValueType

OPTIONS = (("features", 2), ("param_dtype", "float32"), ("use_bias", True))
DENSE = ModuleSpec((ValueType((3,)),), (Node("dense", (0,), OPTIONS),), (1,))
CALL = Step("call", (("batch", 2), ("seed", 1), ("training", False)))
FIT = Step("fit", (("steps", 1),))


class Doubling(FlaxLayer):
    """Gives twice what the module gives."""

    def call(self, *args, **kwargs):
        return jax.tree.map(lambda y: y * 2, super().call(*args, **kwargs))


def of_scenario(framework, layer):
    return scenario_program(Scenario(Case(DENSE, framework=framework), steps=(CALL, FIT)), layer)


def of_check(framework, layer):
    subject = Subject.from_case(Case(DENSE, framework=framework), layer=layer)
    return failing_program(subject, "check_inference")


@pytest.fixture
def run(tmp_path):
    """Runs a program as a file."""

    def run(text):
        assert f"os.environ['KERAS_BACKEND'] = '{keras.backend.backend()}'" in text
        path = tmp_path / "program.py"
        path.write_text(text)
        with warnings.catch_warnings():
            runpy.run_path(str(path), run_name="__main__")

    return run


@pytest.mark.law("T1", "T9", "K1")
@pytest.mark.parametrize("framework", ["linen", "nnx"])
@pytest.mark.parametrize("text_of", [of_scenario, of_check], ids=["scenario", "check"])
def test_a_program_fails_for_a_faulty_layer_and_passes_for_its_twin(run, framework, text_of):
    run(text_of(framework, FlaxLayer))
    with pytest.raises(AssertionError, match=" != "):
        run(text_of(framework, Doubling))
