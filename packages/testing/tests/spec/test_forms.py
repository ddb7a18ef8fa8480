"""The texts of operations, as they stand in linen and in nnx."""

import pytest

from flaxlayer_testing import ValueType
from flaxlayer_testing.spec.operations import OPERATIONS
from flaxlayer_testing.spec.operations.forms import (
    Form,
    Site,
    in_both,
    layer,
    linen_stock,
    nnx_on_variable,
    nnx_stock,
    with_module,
)
from flaxlayer_testing.spec.spec import FRAMEWORKS

OPTIONS = {"features": 2, "param_dtype": "bfloat16"}


def site(**parts):
    given = {"options": OPTIONS, "types": (ValueType((4, 3)),), "layer": "self.layer_1"}
    return Site(args=("x0",), index=1, **{**given, **parts})


def test_a_stock_layer_of_linen_takes_its_options_by_name():
    made = linen_stock("Dense", epsilon="0.01")(site())
    assert made == "nn.Dense(features=2, param_dtype=jnp.bfloat16, epsilon=0.01)"


def test_a_stock_layer_of_nnx_takes_sizes_by_position_and_streams():
    made = nnx_stock("Linear", "features")(site())
    assert made == "nnx.Linear(3, 2, param_dtype=jnp.bfloat16, rngs=rngs)"
    bare = nnx_stock("PReLU", size=False, rngs=False)(site(options={}))
    assert bare == "nnx.PReLU()"


@pytest.mark.parametrize(
    ("mode", "value"),
    [
        ("deterministic", "not train"),
        ("use_running_average", "not train"),
        ("update_stats", "train"),
    ],
)
def test_a_layer_is_told_the_mode_by_its_own_name(mode, value):
    form = layer(linen_stock("Any"), mode=mode)
    text = form.call(site(training="train", inference="not train"))
    assert text == f"self.layer_1(x0, {mode}={value})"


def test_functions_get_the_module_or_a_variable_of_it():
    given = site(options={"decay": 0.5}, training="train")
    text = with_module("follow", named=True, flag=True)(given)
    assert text == "follow(self, x0, name='follow_1', training=train, decay=0.5)"
    text = nnx_on_variable("follow", flag=True)(given)
    assert text == "follow(x0, self.layer_1, decay=0.5, training=train)"


def test_a_form_tells_which_options_it_has():
    form = Form(lacks=frozenset({"MGUCell"}))
    assert form.has({"cell": "GRUCell"})
    assert not form.has({"forward": "GRUCell", "backward": "MGUCell"})


def test_functions_of_flax_are_called_by_the_name_of_the_framework():
    for flax in ("nn", "nnx"):
        given = site(options={"function": "relu"}, flax=flax)
        assert OPERATIONS["activation"].forms["nnx"].call(given) == f"{flax}.relu(x0)"


def test_forms_are_of_frameworks_that_there_are():
    for operation in OPERATIONS.values():
        assert operation.forms
        assert set(operation.forms) <= set(FRAMEWORKS)
    assert set(in_both(lambda site: "")) == set(FRAMEWORKS)
