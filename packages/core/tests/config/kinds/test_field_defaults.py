"""Fields that have their default are not stored, and others are (S1)."""

import dataclasses

import flax.linen as nn
import pytest

from flaxlayer_core import EncodeModuleError
from flaxlayer_core.config import (
    encode_module,
    world,
)


@pytest.mark.law("S1")
def test_a_field_that_has_its_default_is_not_stored():
    assert encode_module(nn.Dense(3))["root"]["fields"] == [["features", 3]]
    explicit = nn.Dense(3, use_bias=True, dtype=None, kernel_init=nn.Dense.kernel_init)
    assert encode_module(explicit)["root"]["fields"] == [["features", 3]]


class Defaults(nn.Module):
    act: object = lambda x: x
    made: object = dataclasses.field(default_factory=lambda: [lambda x: x])
    sizes: list = dataclasses.field(default_factory=lambda: [1, 2])
    zero: object = 0.0
    one: object = 1
    inner: nn.Module = nn.Dense(2)
    made_inner: nn.Module = dataclasses.field(default_factory=lambda: nn.Dense(2))


@pytest.mark.law("S1")
def test_a_default_that_has_no_stored_form_is_left_out_like_any_other(trip):
    assert [name for name, _ in encode_module(Defaults())["root"]["fields"]] == ["made_inner"]
    again = trip(Defaults())
    assert again.act is Defaults.act
    assert again.sizes == [1, 2] and again.made[0](3) == 3
    with pytest.raises(EncodeModuleError, match=r"Defaults\.act"):
        encode_module(Defaults(act=lambda x: x + 1))


@pytest.mark.law("S1")
@pytest.mark.parametrize("value", [-0.0, 0, False, 1e-45])
def test_a_value_that_is_only_equal_to_the_default_is_stored(value, trip):
    assert repr(trip(Defaults(zero=value)).zero) == repr(value)
    assert repr(trip(Defaults(one=True)).one) == "True"


@pytest.mark.law("S1")
def test_two_fields_that_share_a_module_share_it_again(trip):
    shared = nn.Dense(2)
    again = trip(Defaults(inner=shared, made_inner=shared))
    assert again.inner is again.made_inner


@pytest.fixture(autouse=True)
def _own_world(monkeypatch):
    monkeypatch.setattr(world, "_registered", {})
    monkeypatch.setattr(world, "_remembered", {})
