"""What a user registers, and what cannot be (S2)."""

import functools

import flax.linen as nn
import pytest

from flaxlayer_core import AcceptModuleError
from flaxlayer_core.config import (
    decode_module,
    decode_value,
    encode_module,
    encode_value,
    register,
    world,
)


@pytest.fixture(autouse=True)
def _own_world(monkeypatch):
    monkeypatch.setattr(world, "_registered", {})
    monkeypatch.setattr(world, "_remembered", {})


def test_a_decorator_registers_under_package_and_name():
    @register(package="mine")
    class Net(nn.Module):
        pass

    @register(package="mine", name="other")
    def act(x):
        return x

    assert encode_module(Net())["root"]["class"] == "mine>Net"
    assert encode_value(act, path="act")["name"] == "mine>other"
    assert type(decode_module(encode_module(Net()))) is Net


def test_registration_without_arguments_is_a_plain_decorator():
    @register
    class Net(nn.Module):
        pass

    assert encode_module(Net())["root"]["class"] == "flaxlayer>Net"


@pytest.mark.parametrize(
    "thing",
    [
        3,
        "Dense",
        nn.Dense(3),
        int,
        dict,
        object,
        nn.Dense(3).init,
        functools.partial(nn.Dense),
        lambda x: x,
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_has_no_kind_or_no_name_is_not_registered(thing):
    with pytest.raises(AcceptModuleError):
        register(thing)


def test_a_name_belongs_to_one_definition():
    def make():
        @register(name="act")
        def act(x):
            return x

        return act

    make()
    again = make()  # a notebook cell that runs twice
    assert decode_value({"$type": "function", "name": "flaxlayer>act"}, path="act") is again
    with pytest.raises(AcceptModuleError, match="a name that is free"):
        register(lambda x: x, name="act")
