from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample, Unsatisfiable

from flaxlayer_testing import (
    FEATURES,
    Case,
    Flag,
    ReadSpecError,
    ValueType,
    cases,
    inputs,
    modules,
    spec_traits,
    value_types,
)
from flaxlayer_testing.operations import OPERATIONS

QUIET = settings(suppress_health_check=list(HealthCheck))

EXAMPLES = 600
# Of 100 modules drawn, at least one shows the feature; those that most modules have to do with
# state, streams and modes are held to more.
FLOORS = dict.fromkeys(FEATURES, 0.01) | {
    "batch_norm": 0.08,
    "dropout": 0.06,
    "custom_state": 0.15,
    "custom_stream": 0.08,
    "flag": 0.4,
    "flag_default": 0.2,
    "flag_keyword_only": 0.15,
    "flag_negated": 0.1,
    "nested": 0.05,
    "sow": 0.1,
    "state_stream_flag": 0.05,
    "token_input": 0.1,
}


@pytest.fixture(scope="module")
def counted():
    counts = Counter()

    @settings(QUIET, max_examples=EXAMPLES)
    @given(modules())
    def draw(spec):
        counts.update(spec_traits(spec).features)
        counts.update(f"op {node.op}" for node in spec.nodes)
        counts.update({"op": len(spec.nodes), "examples": 1})

    draw()
    return counts


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_is_drawn_often_enough(feature, counted):
    assert counted[feature] >= FLOORS[feature] * counted["examples"]


def test_modules_have_several_nodes_on_average(counted):
    assert counted["op"] >= 3 * counted["examples"]


def test_every_feature_that_is_drawn_is_described(counted):
    names = {name for name in counted if not name.startswith(("op", "examples"))}
    assert names <= set(FEATURES)


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_that_is_asked_for_is_always_shown(feature):
    @settings(QUIET, max_examples=8)
    @given(modules(features=[feature]))
    def draw(spec):
        assert feature in spec_traits(spec).features

    draw()


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_that_is_refused_is_never_shown(feature):
    @settings(QUIET, max_examples=8)
    @given(modules(without=[feature]))
    def draw(spec):
        assert feature not in spec_traits(spec).features

    draw()


def test_several_features_can_be_asked_for_at_once():
    features = {"embed", "conv", "batch_norm", "flag_keyword_only", "dict_output", "half_input"}

    @settings(QUIET, max_examples=20)
    @given(modules(features=features, without=["nested"]))
    def draw(spec):
        assert features <= spec_traits(spec).features

    draw()


def test_features_that_contradict_each_other_cannot_be_found():
    with pytest.raises((NoSuchExample, Unsatisfiable)):
        find(modules(features=["flag"], without=["flag"]), lambda spec: True, settings=QUIET)


def test_the_simplest_module_is_one_dense_layer():
    spec = find(modules(), lambda spec: True)
    assert spec.inputs == (ValueType((3,)),)
    assert [node.op for node in spec.nodes] == ["dense"]
    assert spec.structure == "array"
    assert spec.flag is None


def test_the_simplest_case_has_the_smallest_batch_and_seed_zero():
    case = find(cases(), lambda case: True)
    assert (case.batch_size, case.seed) == (2, 0)
    assert isinstance(case, Case)


@pytest.mark.parametrize("name", ["dropout", "batch_norm", "layer_norm", "count_calls", "embed"])
def test_a_module_shrinks_to_the_operation_that_matters(name):
    spec = find(modules(), lambda spec: name in {node.op for node in spec.nodes}, settings=QUIET)
    assert [node.op for node in spec.nodes] == [name]
    assert len(spec.outputs) == 1
    if spec.flag is not None:
        assert spec.flag == Flag()


def test_a_module_shrinks_to_the_two_operations_that_matter():
    def matters(spec):
        return {"count_calls", "training_noise"} <= {node.op for node in spec.nodes}

    spec = find(modules(), matters, settings=settings(QUIET, max_examples=5000))
    assert len(spec.nodes) == 2


@settings(QUIET, max_examples=100)
@given(modules(max_nodes=2))
def test_max_nodes_is_respected(spec):
    assert 1 <= len(spec.nodes) <= 2


@settings(QUIET, max_examples=100)
@given(modules())
def test_values_stay_tiny(spec):
    assert max(np.prod(value.shape) for value in value_types(spec)) <= 96


@settings(max_examples=50)
@given(st.data())
def test_inputs_fit_their_module(data):
    spec = data.draw(modules(max_nodes=1))
    arrays = data.draw(inputs(spec, batch_size=4))
    for array, value in zip(arrays, spec.inputs, strict=True):
        assert (array.shape, array.dtype.name) == ((4, *value.shape), value.dtype)
        assert np.isfinite(array.astype(np.float64)).all()
        if value.dtype == "int32":
            assert array.min() >= 0
            assert array.max() < 5


def test_an_unknown_feature_is_named():
    with pytest.raises(ReadSpecError, match="unknown features \\['dens'\\]"):
        modules(features=["dens"])


def test_a_module_has_at_least_one_node():
    with pytest.raises(ReadSpecError, match="max_nodes=0"):
        modules(max_nodes=0)


def test_every_operation_is_drawn(counted):
    assert all(counted[f"op {name}"] for name in (*OPERATIONS, "nested"))
