"""How the training flag and the mask reach a method (A1, A2, A4)."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import CallArgumentError, LinenModule, MethodSignature

POSITIVE = ("training", "train", "is_training")
NEGATED = ("deterministic", "eval", "use_running_average")
SHAPES = ("x, {}", "x, {}=True", "x, {}=None", "x, *, {}", "x, *, {}=False", "x, *rest, {}=False")


def method(parameters):
    """A function of a module with these parameters, which returns them."""
    namespace = {}
    exec(f"def forward(module, {parameters}): return dict(locals())", namespace)
    return namespace["forward"]


def call_of(function, module=None, **settings):
    return MethodSignature.from_method(LinenModule(module or nn.Dense(1)), function, **settings)


def received(call, *args, training, **kwargs):
    """What the method itself finds in its parameters."""
    args, kwargs = call.bind(args, kwargs, training=training)
    return call.method(None, *args, **kwargs)


@pytest.mark.law("A2")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", POSITIVE)
def test_a_training_argument_receives_the_flag(name, shape, training):
    got = received(call_of(method(shape.format(name))), "x", training=training)
    assert got[name] is training


@pytest.mark.law("A2")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NEGATED)
def test_a_negated_argument_receives_the_negation(name, shape, training):
    got = received(call_of(method(shape.format(name))), "x", training=training)
    assert got[name] is not training


@pytest.mark.law("A2")
def test_two_flags_of_one_method_both_receive_it():
    got = received(call_of(method("x, deterministic, train=False")), "x", training=True)
    assert (got["deterministic"], got["train"]) == (False, True)


@pytest.mark.law("A2")
def test_arguments_of_other_names_receive_nothing():
    got = received(call_of(method("x, enabled=None, mode='a'")), "x", training=True)
    assert (got["enabled"], got["mode"]) == (None, "a")


@pytest.mark.law("A2")
@pytest.mark.parametrize("parameters", ["x, enabled", "x, *, enabled=False", "x, **enabled_or_not"])
def test_a_named_training_argument_receives_the_flag(parameters):
    call = call_of(method(parameters), training_arg="enabled")
    got = received(call, "x", training=True)
    assert got.get("enabled_or_not", got)["enabled"] is True


@pytest.mark.law("A2")
def test_a_named_argument_with_a_tilde_receives_the_negation():
    got = received(call_of(method("x, frozen"), training_arg="~frozen"), "x", training=True)
    assert got["frozen"] is False


@pytest.mark.law("A2")
def test_a_named_training_argument_is_the_only_one():
    call = call_of(method("x, enabled=None, train=None"), training_arg="enabled")
    got = received(call, "x", training=True)
    assert (got["enabled"], got["train"]) == (True, None)


@pytest.mark.law("A2")
def test_a_named_training_argument_that_the_method_has_not_is_explained():
    with pytest.raises(CallArgumentError) as caught:
        call_of(method("x, enabled"), training_arg="~frozen")
    assert str(caught.value).splitlines() == [
        "Dense.forward has no argument for training_arg='~frozen'.",
        "Expected: one of: x, enabled",
        "Found: 'frozen'",
        "Fix: Name an argument of the method, with ~ in front if it gets the negated flag.",
        "Law: A2",
    ]


@pytest.mark.law("A2")
@pytest.mark.parametrize("value", [True, False, None, "auto"])
@pytest.mark.parametrize("training", [True, False])
def test_a_value_that_the_caller_gives_wins_by_keyword(value, training):
    got = received(call_of(method("x, train=False")), "x", train=value, training=training)
    assert got["train"] is value


@pytest.mark.law("A2")
@pytest.mark.parametrize("training", [True, False])
def test_a_value_that_the_caller_gives_wins_by_position(training):
    got = received(call_of(method("x, deterministic=None")), "x", True, training=training)
    assert got["deterministic"] is True


@pytest.mark.law("A2")
def test_a_value_that_the_caller_gives_wins_among_free_keywords():
    call = call_of(method("x, **rest"), training_arg="train")
    assert received(call, "x", train=False, training=True)["rest"] == {"train": False}


@pytest.mark.law("A2")
@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (nn.Dropout(0.5, deterministic=True), (jnp.ones((2, 4)),)),
        (nn.BatchNorm(use_running_average=True), (jnp.ones((2, 4)),)),
        (nn.MultiHeadDotProductAttention(2, deterministic=True), (jnp.ones((2, 3, 4)),)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_argument_that_a_field_of_the_module_decides_is_left_alone(module, inputs):
    call = MethodSignature.from_method(LinenModule(module), None)
    args, kwargs = call.bind(inputs, {}, training=True)
    assert kwargs == {}
    module.init_with_output({"params": np.array([0, 1], np.uint32)}, *args, **kwargs)


@pytest.mark.law("A2")
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (nn.Dropout(0.5), "deterministic"),
        (nn.BatchNorm(), "use_running_average"),
        (nn.MultiHeadDotProductAttention(2), "deterministic"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_same_argument_receives_the_flag_where_no_field_decides_it(module, name):
    call = MethodSignature.from_method(LinenModule(module), None)
    assert call.bind((jnp.ones((2, 3, 4)),), {}, training=True)[1] == {name: False}


@pytest.mark.law("A2")
def test_a_required_argument_that_nobody_gives_is_explained():
    call = call_of(method("x, y, train"))
    with pytest.raises(CallArgumentError) as caught:
        call.bind((1,), {}, training=True)
    assert str(caught.value).splitlines() == [
        "The call does not fit Dense.forward: missing a required argument: 'y'.",
        "Expected: Dense.forward(x, y, train)",
        "Found: 1 positional arguments and keywords ['train']; the layer passes train=training",
        "Fix: Give the arguments that the method takes; name the training argument with "
        "training_arg='name' or '~name' if it has another name.",
        "Law: A2",
    ]


@pytest.mark.law("A2")
@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((1, 2), {}, "too many positional arguments"),
        ((1,), {"scale": 2}, "got an unexpected keyword argument 'scale'"),
        ((1,), {"x": 2}, "multiple values for argument 'x'"),
    ],
)
def test_arguments_that_the_method_does_not_take_are_explained(args, kwargs, message):
    with pytest.raises(CallArgumentError, match=message) as caught:
        call_of(method("x")).bind(args, kwargs, training=False)
    assert "the layer passes no training flag" in str(caught.value)


@pytest.mark.law("A2")
def test_a_flag_that_can_only_be_positional_is_the_callers_to_give():
    call = call_of(method("x, train, /"))
    assert received(call, "x", False, training=True)["train"] is False


@pytest.mark.law("A1")
def test_the_arguments_of_the_caller_reach_the_method_unchanged():
    x, nested = object(), {"a": [object(), None]}
    got = received(call_of(method("x, y=None, *more, **rest")), x, nested, 3, z="s", training=True)
    assert got["x"] is x
    assert got["y"] is nested
    assert (got["more"], got["rest"]) == ((3,), {"z": "s"})


@pytest.mark.law("A4")
@pytest.mark.parametrize(
    ("parameters", "found"),
    [("x", None), ("x, mask", "mask"), ("x, *, mask=None", "mask"), ("x, **kwargs", None)],
)
def test_the_argument_of_a_mask_is_found_by_its_name(parameters, found):
    assert call_of(method(parameters)).mask_arg == found


@pytest.mark.law("A4")
def test_the_user_may_name_another_argument_or_none():
    assert call_of(method("x, padding=None"), mask_arg="padding").mask_arg == "padding"
    assert call_of(method("x, **kwargs"), mask_arg="padding").takes("padding")
    assert call_of(method("x, mask=None"), mask_arg=None).mask_arg is None


@pytest.mark.law("A4")
def test_a_mask_argument_that_does_not_exist_is_explained():
    with pytest.raises(CallArgumentError) as caught:
        call_of(method("x, mask=None"), mask_arg="padding")
    assert str(caught.value).splitlines() == [
        "Dense.forward has no argument for mask_arg='padding'.",
        "Expected: one of: x, mask",
        "Found: 'padding'",
        "Fix: Name an argument of the method, or pass None to hand it no mask.",
        "Law: A4",
    ]


@pytest.mark.law("A4")
def test_a_positional_none_is_a_mask_and_a_keyword_none_asks_for_one_as_in_keras():
    call = call_of(method("x, mask=None"))
    assert call.masked_by_caller(("x", None), {}) == {"x", "mask"}
    assert call.masked_by_caller(("x",), {"mask": None}) == {"x"}
    assert call.masked_by_caller(("x",), {"mask": "mine"}) == {"x", "mask"}
