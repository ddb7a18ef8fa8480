"""A call on inputs of another form than those of the build is explained (§11)."""

import dataclasses

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import (
    CallArgumentError,
)

X = np.ones((2, 4), np.float32)


def test_inputs_of_another_form_than_built_are_explained(same_bits):
    layer = FlaxLayer(nn.Dense(3), name="dense")
    layer(X)
    before = layer.flax_variables()
    with pytest.raises(CallArgumentError) as caught:
        layer(np.ones((2, 5), np.float32))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(
        "Layer 'dense' (Dense.__call__) failed on inputs of another form than it was built with"
    )
    assert lines[1:3] == ["Expected: float32[2,4]", "Found: float32[2,5]"]
    same_bits(layer.flax_variables(), before)
    assert layer(X).shape == (2, 3)


class TakesTwo(nn.Module):
    @nn.compact
    def __call__(self, inputs):
        return nn.Dense(2)(inputs["a"]) + nn.Dense(2)(inputs["b"])


@pytest.mark.law("A1")
@pytest.mark.parametrize("found", [{}, {"a": np.ones((2, 4), np.float32)}, None])
def test_whatever_the_module_raises_the_form_of_the_inputs_is_named(found):
    x = np.ones((2, 4), np.float32)
    layer = FlaxLayer(TakesTwo(), name="two")
    layer({"a": x, "b": x})
    with pytest.raises(CallArgumentError, match=r"'two' .* of another form than it was built"):
        layer(found)


ONE = np.ones((1, 3), np.float32)
FOUR = np.ones((1, 4), np.float32)


@dataclasses.dataclass
class Pair:
    """No pytree of JAX."""

    a: object
    b: object


class Picks(nn.Module):
    """Takes a container, and things beside it."""

    @nn.compact
    def __call__(self, batch, scale=1.0, *more, mode="sum", bias=None):
        if mode == "fails":
            message = "of no form"
            raise ValueError(message)
        batch = batch if isinstance(batch, dict) else vars(batch)
        y = nn.Dense(2, name="a")(batch["a"]) + nn.Dense(2, name="b")(batch["b"])
        y = sum((nn.Dense(2, name=f"m{i}")(one) for i, one in enumerate(more)), y * scale)
        return y if bias is None else y + bias


BOTH = "batch['a']: float32[1,3], batch['b']: float32[1,3]"


@pytest.mark.law("A1")
@pytest.mark.parametrize(
    ("call", "found"),
    [
        (lambda layer: layer({"a": ONE}), "batch['a']: float32[1,3]"),
        (
            lambda layer: layer({"a": ONE, "c": ONE}),
            "batch['a']: float32[1,3], batch['c']: float32[1,3]",
        ),
        (
            lambda layer: layer({"a": {"x": ONE}, "b": ONE}),
            "batch['a']['x']: float32[1,3], batch['b']: float32[1,3]",
        ),
        (
            lambda layer: layer({"a": ONE, "b": FOUR}),
            "batch['a']: float32[1,3], batch['b']: float32[1,4]",
        ),
        (lambda layer: layer({"a": ONE, "b": None}), "batch['a']: float32[1,3]"),
        (
            lambda layer: layer({"a": ONE, "b": ONE}, bias=np.ones((1, 5), np.float32)),
            f"{BOTH}, bias: float32[1,5]",
        ),
        (lambda layer: layer({"a": ONE, "b": ONE}, 2.0, ONE), f"{BOTH}, more[0]: float32[1,3]"),
    ],
    ids=["fewer", "another key", "nested", "another size", "None", "keyword", "further"],
)
@pytest.mark.filterwarnings("ignore:shape requires ndarray or scalar:DeprecationWarning")
def test_each_array_is_named_by_its_place_in_the_arguments(call, found):
    layer = FlaxLayer(Picks())
    layer({"a": ONE, "b": ONE})
    with pytest.raises(CallArgumentError, match="of another form") as caught:
        call(layer)
    assert str(caught.value).splitlines()[-4:-2] == [f"Expected: {BOTH}", f"Found: {found}"]


def test_fields_of_an_object_are_named():
    layer = FlaxLayer(Picks())
    layer(Pair(ONE, ONE))
    with pytest.raises(CallArgumentError, match="of another form") as caught:
        layer(Pair(ONE, FOUR))
    assert "Found: batch.a: float32[1,3], batch.b: float32[1,4]" in str(caught.value)


@pytest.mark.law("A1")
def test_what_a_module_raises_on_inputs_of_the_form_of_the_build_is_its_own():
    layer = FlaxLayer(Picks())
    layer({"a": ONE, "b": ONE}, 2.0)
    layer({"a": ONE, "b": ONE}, 3.0)
    for scale in ({"scale": 2.0}, {}):
        with pytest.raises(ValueError, match="of no form") as caught:
            layer(batch={"a": ONE, "b": ONE}, mode="fails", **scale)
        assert not isinstance(caught.value, CallArgumentError)


class Tokens(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        return nn.Embed(5, 2)(tokens)


@pytest.mark.law("A1")
def test_floats_where_tokens_were_are_another_form():
    layer = FlaxLayer(Tokens(), name="tokens")
    layer(np.ones((1, 3), np.int32))
    with pytest.raises(CallArgumentError, match=r"'tokens' .* of another form") as caught:
        layer(np.ones((1, 3), np.float32))
    assert str(caught.value).splitlines()[1:3] == ["Expected: int32[1,3]", "Found: float32[1,3]"]


@pytest.mark.law("A9")
def test_floats_of_another_precision_are_no_other_form():
    class Fails(nn.Module):
        @nn.compact
        def __call__(self, x):
            if x.dtype == np.float16:
                message = "too coarse"
                raise ValueError(message)
            return nn.Dense(2)(x)

    layer = FlaxLayer(Fails())
    layer(np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match="too coarse") as caught:
        layer(np.ones((1, 3), np.float16))
    assert not isinstance(caught.value, CallArgumentError)
