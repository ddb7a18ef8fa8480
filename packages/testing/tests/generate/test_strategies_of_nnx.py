"""The strategies of nnx modules, without compiling anything."""

import jax
import pytest
from flax import nnx
from hypothesis import find, given, settings

from flaxlayer_testing import (
    FEATURES,
    NNX_FEATURES,
    Case,
    ReadSpecError,
    build_nnx_module,
    call_arguments,
    nnx_cases,
    nnx_modules,
    output_types,
    spec_traits,
)
from flaxlayer_testing.spec.operations import OPERATIONS
from packages.testing.tests.generate.counting import EXAMPLES, QUIET, count_drawn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11"),
    pytest.mark.filterwarnings("ignore:.*Using 'Module.sow':DeprecationWarning"),
]

FLOOR = 0.02
FLOORS = dict.fromkeys(NNX_FEATURES, FLOOR) | {
    "batch_norm": 0.1,
    "custom_state": 0.1,
    "custom_stream": 0.05,
    "dropout": 0.1,
    "flag": 0.4,
    "nested": 0.2,
    "recurrent": 0.08,
    "setup": 0.2,
    "sow": 0.15,
    "tied_submodule": 0.05,
    "token_input": 0.15,
}


@pytest.fixture(scope="module")
def counted():
    return count_drawn(nnx_cases())


def test_hardly_a_module_is_drawn_twice(counted):
    assert counted["examples"] == EXAMPLES
    assert counted["distinct"] >= 0.95 * EXAMPLES


@pytest.mark.parametrize("feature", NNX_FEATURES)
def test_a_feature_is_drawn_often_enough(feature, counted):
    assert counted[feature] >= FLOORS[feature] * counted["examples"]


def test_modules_have_several_nodes_and_are_objects_half_of_the_time(counted):
    assert counted["op"] >= 3 * counted["examples"]
    assert 0.3 < counted["object"] / counted["examples"] < 0.7


def test_every_operation_is_drawn_and_no_feature_of_linen_alone(counted):
    names = [name for name, operation in OPERATIONS.items() if "nnx" in operation.forms]
    assert all(counted[f"op {name}"] for name in (*names, "again", "nested"))
    assert [name for name in FEATURES if counted[name] and name not in NNX_FEATURES] == []


@pytest.mark.parametrize("feature", NNX_FEATURES)
def test_a_feature_that_is_asked_for_is_always_shown(feature):
    @settings(QUIET, max_examples=3)
    @given(nnx_modules(features=[feature], max_nodes=2))
    def draw(spec):
        assert feature in spec_traits(spec).features

    draw()


def test_the_simplest_module_is_one_linear_layer():
    spec = find(nnx_modules(), lambda spec: True)
    assert [node.op for node in spec.nodes] == ["dense"]
    assert isinstance(build_nnx_module(spec, seed=0).layer_1, nnx.Linear)


@pytest.mark.parametrize("name", ["dropout", "count_calls", "attention"])
def test_a_module_shrinks_to_the_operation_that_matters(name):
    def matters(spec):
        return name in {node.op for node in spec.nodes}

    spec = find(nnx_modules(), matters, settings=settings(QUIET, max_examples=5000))
    assert [node.op for node in spec.nodes] == [name]


@pytest.mark.filterwarnings("ignore:.*sow:DeprecationWarning")
@settings(QUIET, max_examples=80)
@given(nnx_cases())
def test_every_drawn_module_is_made_and_runs_in_both_modes(case):
    def run(training):
        module = build_nnx_module(case.spec, batch_size=case.batch_size, seed=case.seed)
        (module.train if training else module.eval)()
        keys = {name: jax.random.key(0) for name in ("argument", "supplied")}
        args, kwargs = call_arguments(case, keys, training=training)
        outputs = module(*args, **kwargs)
        # In the order of the outputs, which is not that of the names `y9` and `y10`.
        return list(outputs.values()) if isinstance(outputs, dict) else outputs

    for training in (True, False):
        outputs = jax.tree.leaves(jax.eval_shape(lambda m=training: run(m)))
        batch = (case.batch_size,)
        expected = [(batch + value.shape, value.dtype) for value in output_types(case.spec)]
        assert [(leaf.shape, leaf.dtype.name) for leaf in outputs] == expected


def test_what_linen_alone_has_is_refused():
    for feature in ("conv_local", "recurrent_MGUCell", "scan_time"):
        with pytest.raises(ReadSpecError, match="No nnx modules"):
            find(nnx_modules(features=[feature]), lambda spec: True)


def test_a_framework_that_does_not_exist_is_refused():
    spec = find(nnx_modules(), lambda spec: True)
    with pytest.raises(ReadSpecError, match="no framework"):
        Case.from_json(Case(spec, framework="haiku").to_json())
