import json

import pytest
from hypothesis import given, settings

from flaxlayer_testing import Case, Flag, ModuleSpec, Node, ReadSpecError, ValueType, cases, modules
from flaxlayer_testing.spec.spec import FLAG_NAMES

DENSE = Node("dense", (0,), (("features", 2), ("param_dtype", "float32"), ("use_bias", True)))
SPEC = ModuleSpec((ValueType((3,)),), (DENSE,), (1,))


@settings(max_examples=200)
@given(modules())
def test_a_spec_survives_json(spec):
    assert ModuleSpec.from_json(spec.to_json()) == spec


@settings(max_examples=50)
@given(cases())
def test_a_case_survives_json(case):
    assert Case.from_json(case.to_json()) == case


@settings(max_examples=50)
@given(modules())
def test_equal_specs_have_equal_hashes_and_json(spec):
    again = ModuleSpec.from_json(spec.to_json())
    assert hash(again) == hash(spec)
    assert again.to_json() == spec.to_json()


def test_options_that_are_tuples_survive_json():
    node = Node("dropout", (0,), (("broadcast_dims", (1,)),))
    spec = ModuleSpec((ValueType((3,)),), (node,), (1,))
    assert ModuleSpec.from_json(spec.to_json()).nodes[0].options == node.options


def test_a_case_with_unknown_dimensions_survives_json():
    case = Case(SPEC, 3, 4, ((0, 1), (1, 1)))
    assert Case.from_json(case.to_json()) == case


def test_json_without_what_came_later_is_read():
    data = json.loads(Case(SPEC).to_json())
    later = ("arguments", "mask", "style", "encoder", "extras")
    data = {"spec": {k: v for k, v in data["spec"].items() if k not in later}}
    assert Case.from_json(json.dumps({**data, "batch_size": 2, "seed": 0})) == Case(SPEC)


def test_the_json_of_a_spec_is_readable():
    data = json.loads(SPEC.to_json())
    assert data["nodes"][0] == {"op": "dense", "args": [0], "options": dict(DENSE.options)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        SPEC.to_json().replace('"args":[0]', '"args":["0"]'),
        SPEC.to_json().replace('"args":[0]', '"args":[true]'),
        SPEC.to_json().replace('"args":[0]', '"args":[[0]]'),
        SPEC.to_json().replace('"flag":null', '"flag":["training"]'),
        SPEC.to_json().replace('"encoder":0', '"encoder":"0"'),
    ],
)
def test_what_is_not_a_spec_is_refused(text):
    with pytest.raises(ReadSpecError, match=r"not the JSON of a spec[\s\S]*Law: T1"):
        ModuleSpec.from_json(text)


@pytest.mark.parametrize("name", FLAG_NAMES)
def test_a_flag_means_training_or_its_negation(name):
    negated = name in ("deterministic", "eval", "use_running_average")
    assert Flag(name).argument(training=True) is not negated
    assert Flag(name).argument(training=False) is negated
