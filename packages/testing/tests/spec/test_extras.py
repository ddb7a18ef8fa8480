"""Extra parameters of generated modules: what they do, in which modules they can stand."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_testing import (
    Case,
    Extra,
    ModuleSpec,
    Node,
    ReadSpecError,
    ValueType,
    build_module,
    build_nnx_module,
    call_arguments,
    make_arguments,
    make_inputs,
    spec_traits,
    value_types,
)
from flaxlayer_testing.render.pieces import Side
from flaxlayer_testing.spec.extras import EXTRA_KINDS

X = ValueType((3,))
RELU = Node("activation", (0,), (("function", "relu"),))
SPEC = ModuleSpec((X,), (RELU,), (1,))
KEY = jax.random.key(7)
KEYS = {"argument": KEY, "supplied": KEY}


def case_of(*extras, **given):
    return Case(replace(SPEC, extras=extras), 2, 5, given=tuple(given.items()))


def noise(value, key):
    return value + 0.25 * jax.random.normal(key, value.shape)


# What an extra parameter makes of a value, written down a second time.
EXPECTED = {
    ("function", "tanh"): np.tanh,
    ("function", "sin"): np.sin,
    ("times", 1): lambda y: y / 2,
    ("times", 0): lambda y: y,
    ("times", 2): lambda y: y / 4,
    ("side", "LEFT"): lambda y: y,
    ("side", "RIGHT"): lambda y: -y,
    ("shifted", False): lambda y: y,
    ("shifted", True): lambda y: y + 1,
    ("bias", None): lambda y: y,
    ("bias", "array"): lambda y: (
        y + make_arguments(case_of(Extra("bias"), bias="array"))[0][1][:, None]
    ),
    ("key", 0): lambda y: noise(y, jax.random.key(0)),
    ("key", 1): lambda y: noise(y, jax.random.key(1)),
    ("key", 2): lambda y: noise(y, jax.random.key(2)),
}
PAIRS = [(name, value) for name, kind in EXTRA_KINDS.items() for value in kind.values]
FORMS = [(False, False), (True, False), (False, True), (True, True)]


def run(case, framework, *, training=False):
    args, kwargs = call_arguments(case, KEYS, training=training)
    if framework == "linen":
        return build_module(case.spec).apply({}, *args, **kwargs)
    return build_nnx_module(case.spec, seed=0)(*args, **kwargs)


def relu(case):
    return np.maximum(make_inputs(case.spec, case.batch_size, case.seed)[0], 0).astype(np.float32)


@pytest.mark.law("A1")
@pytest.mark.parametrize("framework", ["linen", "nnx"])
@pytest.mark.parametrize("form", FORMS, ids=["plain", "keyword", "default", "both"])
@pytest.mark.parametrize(("name", "value"), PAIRS, ids=[f"{n}-{v}" for n, v in PAIRS])
def test_an_extra_parameter_changes_the_first_floating_output(name, value, form, framework):
    case = case_of(Extra(name, *form), **{name: value})
    expected = EXPECTED[name, value](relu(case))
    np.testing.assert_allclose(run(case, framework), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.law("R5")
@pytest.mark.parametrize(
    ("name", "framework"), [("noise_key", "linen"), ("noise_key", "nnx"), ("rngs", "nnx")]
)
def test_a_key_of_the_layer_adds_noise_where_the_method_cannot_do_without(name, framework):
    for optional in (False, True):
        case = case_of(Extra(name, optional=optional))
        for training in (True, False):
            plain = np.array_equal(run(case, framework, training=training), relu(case))
            assert plain == (optional and not training)
            drawn = spec_traits(case.spec).streams(training)
            assert bool(drawn) == (not plain)


def test_extra_arguments_stand_behind_the_inputs_or_have_names():
    extras = (Extra("function"), Extra("side", keyword_only=True), Extra("times", optional=True))
    args, kwargs = make_arguments(case_of(*extras, function="sin", side="RIGHT", times=0))
    assert [type(value) for value in args] == [np.ndarray, str]
    assert kwargs == {"side": Side.RIGHT, "times": 0}


def test_half_precision_stays():
    spec = replace(SPEC, inputs=(ValueType((3,), "bfloat16"),))
    extras = tuple(Extra(name) for name, kind in EXTRA_KINDS.items() if kind.values)
    given = tuple((extra.name, extra.kind.values[0]) for extra in extras)
    case = Case(replace(spec, extras=extras), given=given)
    assert run(case, "linen").dtype == jnp.bfloat16


def test_an_extra_parameter_wants_a_floating_output():
    token = Node("activation", (0,), (("function", "relu"),))
    spec = ModuleSpec((ValueType((3,), "int32"),), (), (0,), extras=(Extra("times"),))
    with pytest.raises(ReadSpecError, match="extra parameters"):
        value_types(spec)
    both = ModuleSpec((ValueType((3,), "int32"), X), (replace(token, args=(1,)),), (0, 2), "tuple")
    assert value_types(replace(both, extras=(Extra("times"),)))


@pytest.mark.parametrize(
    "extras", [(Extra("times"), Extra("times")), (Extra("nothing"),)], ids=["twice", "unknown"]
)
def test_what_cannot_be_built_is_refused(extras):
    with pytest.raises(ReadSpecError, match="extra parameters"):
        value_types(replace(SPEC, extras=extras))


def test_a_nested_module_has_none():
    inner = replace(SPEC, extras=(Extra("times"),))
    with pytest.raises(ReadSpecError, match="extra parameters"):
        value_types(replace(SPEC, nodes=(Node("nested", (0,), (), inner),)))


def test_only_nnx_takes_an_rngs():
    with pytest.raises(ReadSpecError, match="linen has no such module"):
        build_module(replace(SPEC, extras=(Extra("rngs"),)))


@pytest.mark.law("T1")
@pytest.mark.parametrize(("name", "value"), PAIRS, ids=[f"{n}-{v}" for n, v in PAIRS])
def test_a_case_with_extra_parameters_survives_json(name, value):
    case = case_of(Extra(name), Extra("noise_key"), **{name: value})
    assert Case.from_json(case.to_json()) == case


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"times": True},
        {"times": 9},
        {"times": "2"},
        {"times": 1, "side": "LEFT"},
        [],
        {"times": None},
    ],
    ids=["none", "bool", "large", "text", "other", "list", "null"],
)
def test_a_case_whose_values_do_not_fit_is_refused(given):
    data = json.loads(case_of(Extra("times"), times=1).to_json())
    with pytest.raises(ReadSpecError, match="JSON of a spec"):
        Case.from_data({**data, "given": given})
