"""Programs of checks: they fail for a faulty layer, and pass for its twin."""

import warnings

import keras
import pytest
from flax import nnx
from hypothesis import find

from flaxlayer import FlaxLayer
from flaxlayer_testing import Case, Subject, cases, failing_program, nnx_modules

pytestmark = pytest.mark.slow
of_nnx = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


def run(text):
    namespace = {"__name__": "program"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(text, "<program>", "exec"), namespace)
    return namespace


@keras.saving.register_keras_serializable("tests")
class AlwaysTrains(FlaxLayer):
    def __call__(self, *args, **kwargs):
        return super().__call__(*args, **{**kwargs, "training": True})


def case_of(form, *features):
    if form == "linen":
        return find(cases(features=features, max_nodes=1), lambda case: not case.unknown)
    spec = find(nnx_modules(features=features, max_nodes=1), lambda spec: True)
    return Case(spec, framework="nnx", instance=form == "object")


FORMS = pytest.mark.parametrize(
    "form", ["linen", pytest.param("class", marks=of_nnx), pytest.param("object", marks=of_nnx)]
)


@pytest.mark.law("T1")
@FORMS
def test_a_failing_program_fails_for_the_faulty_layer_and_not_for_its_twin(form):
    case = case_of(form, "dropout")
    assert run(failing_program(Subject.from_case(case), "check_inference"))
    text = failing_program(Subject.from_case(case, layer=AlwaysTrains), "check_inference")
    with pytest.raises(AssertionError, match="!="):
        run(text)


@pytest.mark.law("T1")
@pytest.mark.parametrize(
    ("form", "check"),
    [
        ("linen", "check_fresh_keys"),
        ("linen", "check_build_values"),
        pytest.param("class", "check_fresh_keys", marks=of_nnx),
        pytest.param("class", "check_state_training", marks=of_nnx),
        pytest.param("class", "check_state_inference", marks=of_nnx),
    ],
)
def test_a_program_of_a_check_passes_for_the_layer(form, check):
    run(failing_program(Subject.from_case(case_of(form, "dropout", "batch_norm")), check))


@pytest.mark.law("T1")
@pytest.mark.parametrize("feature", ["training_trace", "inference_trace"])
def test_a_program_of_initial_values_passes_where_one_mode_alone_makes_state(feature):
    run(failing_program(Subject.from_case(case_of("linen", feature)), "check_build_values"))
