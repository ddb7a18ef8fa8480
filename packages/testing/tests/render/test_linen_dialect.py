"""Specs as linen modules: signatures, methods, classes, pickling."""

import inspect
import pickle
import traceback
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from flaxlayer_testing import (
    Case,
    Extra,
    Flag,
    ModuleSpec,
    Node,
    ReadSpecError,
    ValueType,
    build_module,
    flag_arguments,
    init_variables,
    make_inputs,
    make_rngs,
)
from flaxlayer_testing.generate.draw.graphs import FLAGS
from flaxlayer_testing.render import linen_dialect as generated

X = ValueType((3,))
NOISE = Node("training_noise", (0,), (("stream", "noise"),))
DENSE = Node("dense", (0,), (("features", 2), ("param_dtype", "float32"), ("use_bias", True)))


def noisy(flag):
    return ModuleSpec((X, X), (NOISE,), (2,), flag=flag)


@pytest.mark.parametrize("flag", FLAGS)
def test_the_signature_of_a_module_is_that_of_its_spec(flag):
    signature = inspect.signature(build_module(noisy(flag)))
    *arrays, last = signature.parameters.values()
    assert [parameter.name for parameter in arrays] == ["x0", "x1"]
    assert last.name == flag.name
    assert (last.kind is last.KEYWORD_ONLY) == flag.keyword_only
    assert last.default is (last.empty if flag.default is None else flag.default)


def test_a_module_without_a_flag_takes_its_inputs_only():
    module = build_module(ModuleSpec((X,), (DENSE,), (1,)))
    assert list(inspect.signature(module).parameters) == ["x0"]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_reaches_the_operations(flag):
    spec = noisy(flag)
    x = jnp.ones((2, 3))
    rngs = make_rngs(spec, 0, training=True)
    trained = build_module(spec).apply({}, x, x, rngs=rngs, **flag_arguments(spec, training=True))
    predicted = build_module(spec).apply({}, x, x, **flag_arguments(spec, training=False))
    assert not (trained == x).all()
    assert (predicted == x).all()


BRANCHES = ModuleSpec(
    (ValueType((4, 2)), ValueType((4,), "bool")),
    (
        Node("dense", (0,), DENSE.options),
        Node(
            "dropout", (2,), (("broadcast_dims", ()), ("rate", 0.5), ("rng_collection", "dropout"))
        ),
        Node("apply_mask", (3, 1)),
        Node("again", (0,), (("node", 0),)),
    ),
    (4, 5),
    "nested",
    Flag("train", default=False),
    "dict",
    mask=True,
    style="setup",
    encoder=2,
)


def test_a_module_takes_its_arrays_in_one_pytree_and_a_mask_that_may_be_left_out():
    signature = inspect.signature(build_module(BRANCHES))
    assert str(signature) == "(inputs, mask=None, train=False)"
    x, mask = make_inputs(BRANCHES, 3, 0)
    module = build_module(BRANCHES)
    tree = module.init(jax.random.key(0), x)
    kept, masked = module.apply(tree, x), module.apply(tree, x, mask)
    assert set(kept) == {"first", "rest"}
    assert (masked["first"] == jnp.where(mask[..., None], kept["first"], 0)).all()
    assert not (masked["first"] == kept["first"]).all()


def test_a_mask_is_a_required_argument_where_the_flag_is():
    spec = replace(BRANCHES, flag=Flag("train"))
    assert str(inspect.signature(build_module(spec))) == "(inputs, mask, train)"


def test_a_layer_that_is_called_again_has_its_params_once():
    x, _ = make_inputs(BRANCHES, 2, 0)
    module = build_module(BRANCHES)
    tree = module.init(jax.random.key(0), x)
    outputs = module.apply(tree, x)
    assert set(tree["params"]) == {"layer_2"}
    assert (outputs["first"] == outputs["rest"][0]).all()


def test_a_second_method_is_what_the_first_calls():
    x, _ = make_inputs(BRANCHES, 2, 0)
    module = build_module(BRANCHES)
    tree = module.init(jax.random.key(0), x)
    hidden = module.apply(tree, x, method="encode")
    assert (module.apply(tree, x)["first"] == hidden).all()


def test_modules_are_equal_and_hash_alike_for_equal_specs():
    first, second = build_module(noisy(FLAGS[3])), build_module(noisy(FLAGS[3]))
    assert first == second
    assert hash(first) == hash(second)


def test_the_only_field_of_a_module_is_the_spec_as_json():
    spec = noisy(FLAGS[3])
    module = build_module(spec)
    assert ModuleSpec.from_json(module.spec) == spec
    assert type(module)(spec=module.spec) == module


def test_a_module_survives_pickling():
    module = build_module(noisy(FLAGS[5]))
    assert pickle.loads(pickle.dumps(module)) == module


def test_classes_are_importable_by_name():
    module = build_module(noisy(Flag("is_training", True, False)))
    assert type(module).__module__ == "flaxlayer_testing.render.linen_dialect"
    assert getattr(generated, type(module).__name__) is type(module)
    with pytest.raises(AttributeError, match="Generated99"):
        generated.Generated99  # noqa: B018


def test_a_traceback_shows_the_generated_statement():
    module = build_module(ModuleSpec((X,), (DENSE,), (1,)))
    with pytest.raises(Exception) as caught:
        module.apply({}, jnp.ones((2, 3)))
    text = "".join(traceback.format_exception(caught.value))
    assert "h1 = nn.Dense(features=2, param_dtype=jnp.float32, use_bias=True)(x0)" in text


def test_state_counts_training_calls_only():
    count = Node("count_steps", (0,), (("at_init", False),))
    spec = ModuleSpec((X,), (count,), (1,), flag=Flag())
    variables = init_variables(Case(spec))
    seen = []
    for training in (True, False, True):
        _, variables = build_module(spec).apply(
            variables, jnp.ones((2, 3)), training=training, mutable=["counters"]
        )
        seen.append(int(variables["counters"]["count_steps_1"]))
    assert seen == [1, 1, 2]


def test_what_nnx_alone_has_is_refused():
    spec = ModuleSpec((X,), (DENSE,), (1,), extras=(Extra("rngs"),))
    with pytest.raises(ReadSpecError, match="linen has no such module") as caught:
        build_module(spec)
    assert "rngs" in str(caught.value)
