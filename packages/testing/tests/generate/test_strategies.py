import jax
import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample, Unsatisfiable

from flaxlayer_testing import (
    LINEN_FEATURES,
    Case,
    Flag,
    ModuleSpec,
    Node,
    ReadSpecError,
    ValueType,
    build_module,
    call_arguments,
    cases,
    inputs,
    make_rngs,
    modules,
    spec_traits,
    value_types,
    variables,
)
from flaxlayer_testing.spec.operations import OPERATIONS
from packages.testing.tests.generate.counting import EXAMPLES, QUIET, count_drawn

pytestmark = pytest.mark.slow

LONG = settings(QUIET, max_examples=5000)

FLOOR = 0.02
# The share of drawn modules that show a feature, at the least; what most modules have to do with is
# held to more.
FLOORS = dict.fromkeys(LINEN_FEATURES, FLOOR) | {
    "batch_norm": 0.1,
    "custom_state": 0.3,
    "custom_stream": 0.1,
    "dropout": 0.15,
    "flag": 0.6,
    "flag_default": 0.4,
    "flag_keyword_only": 0.3,
    "flag_negated": 0.3,
    "mask": 0.1,
    "nested": 0.2,
    "recurrent": 0.1,
    "setup": 0.2,
    "several_inputs": 0.4,
    "several_methods": 0.06,
    "sow": 0.2,
    "state_stream_flag": 0.1,
    "tied_submodule": 0.05,
    "token_input": 0.15,
}


@pytest.fixture(scope="module")
def counted():
    return count_drawn(cases())


def test_hardly_a_module_is_drawn_twice(counted):
    assert counted["examples"] == EXAMPLES
    assert counted["distinct"] >= 0.95 * EXAMPLES


@pytest.mark.parametrize("feature", LINEN_FEATURES)
def test_a_feature_is_drawn_often_enough(feature, counted):
    assert counted[feature] >= FLOORS[feature] * counted["examples"]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_batch_of_each_size_is_drawn_often_enough(size, counted):
    assert counted[f"batch {size}"] >= 0.1 * EXAMPLES


def test_modules_have_several_nodes_on_average(counted):
    assert counted["op"] >= 3 * counted["examples"]


NO_FEATURES = ("op", "object", "examples", "batch ", "distinct")


def test_every_feature_that_is_drawn_is_described(counted):
    names = {name for name in counted if not name.startswith(NO_FEATURES)}
    assert names <= set(LINEN_FEATURES)


@pytest.mark.parametrize("feature", LINEN_FEATURES)
def test_a_feature_that_is_asked_for_is_always_shown(feature):
    @settings(QUIET, max_examples=4)
    @given(modules(features=[feature]))
    def draw(spec):
        assert feature in spec_traits(spec).features

    draw()


@pytest.mark.parametrize("feature", LINEN_FEATURES)
def test_a_feature_that_is_refused_is_never_shown(feature):
    @settings(QUIET, max_examples=4)
    @given(modules(without=[feature]))
    def draw(spec):
        assert feature not in spec_traits(spec).features

    draw()


@pytest.mark.parametrize("feature", ["scan", "vmap", "tied_submodule"])
def test_a_feature_of_the_graph_shrinks_to_little_more_than_itself(feature):
    spec = find(modules(), lambda spec: feature in spec_traits(spec).features, settings=LONG)
    assert len(spec.nodes) <= 2
    assert len(spec.inputs) == 1
    assert all(len(node.inner.nodes) <= 1 for node in spec.nodes if node.inner)


def test_several_features_can_be_asked_for_at_once():
    features = {"embed", "conv", "batch_norm", "flag_keyword_only", "dict_output", "half_input"}

    @settings(QUIET, max_examples=20)
    @given(modules(features=features, without=["nested"]))
    def draw(spec):
        assert features <= spec_traits(spec).features

    draw()


def test_features_of_a_whole_module_can_be_asked_for_at_once():
    features = {"several_methods", "mask_argument", "dict_input", "dataclass_output", "vmap"}

    @settings(QUIET, max_examples=20)
    @given(modules(features=features))
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
    assert spec == ModuleSpec(spec.inputs, spec.nodes, (1,))


def test_the_simplest_case_has_the_smallest_batch_and_seed_zero():
    case = find(cases(), lambda case: True)
    assert (case.batch_size, case.seed, case.unknown) == (2, 0, ())
    assert isinstance(case, Case)


@pytest.mark.parametrize("name", ["dropout", "batch_norm", "layer_norm", "count_calls", "embed"])
def test_a_module_shrinks_to_the_operation_that_matters(name):
    spec = find(modules(), lambda spec: name in {node.op for node in spec.nodes}, settings=LONG)
    assert [node.op for node in spec.nodes] == [name]
    assert len(spec.outputs) == 1
    if spec.flag is not None:
        assert spec.flag == Flag()


def test_a_module_shrinks_to_the_two_operations_that_matter():
    def matters(spec):
        return {"custom_state", "dropout"} <= spec_traits(spec).features

    spec = find(modules(), matters, settings=LONG)
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
    arrays = jax.tree.leaves(data.draw(inputs(spec, batch_size=4)))
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
    assert all(counted[f"op {name}"] for name in (*OPERATIONS, "again", "nested"))


COUNTED = Case(
    ModuleSpec(
        (ValueType((3,)),),
        (
            Node(
                "partitioned_dense", (0,), (("features", 2), ("partitioning", "with_partitioning"))
            ),
            Node("inference_trace", (1,)),
            Node("sow_value", (2,)),
        ),
        (3,),
        flag=Flag(),
    )
)


def apply(case, tree, *, training):
    rngs = make_rngs(case.spec, 0, training=training)
    args, kwargs = call_arguments(case, rngs, training=training)
    return build_module(case.spec).apply(tree, *args, rngs=rngs, mutable=True, **kwargs)


@settings(max_examples=20)
@given(variables(case=COUNTED))
def test_variables_of_a_case_are_those_of_its_module(drawn):
    case, tree = drawn
    assert case == COUNTED
    assert set(tree) == {"params", "totals"}
    kernel = tree["params"]["Dense_0"]["kernel"]
    assert (kernel.names, kernel.value.shape) == ((None, "model"), (3, 2))
    assert 0 <= tree["totals"]["inference_trace_2"] < 1
    outputs, _ = apply(case, tree, training=False)
    assert outputs.shape == (2, 2)


@settings(QUIET, max_examples=15)
@given(variables(max_nodes=3))
def test_variables_are_a_tree_that_raw_apply_takes(drawn):
    case, tree = drawn
    for training in (True, False):
        _, updates = jax.eval_shape(lambda t, m=training: apply(case, t, training=m), tree)
        for name in set(tree) & set(updates):
            assert jax.tree.structure(updates[name]) == jax.tree.structure(tree[name])
