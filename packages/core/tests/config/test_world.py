"""The closed world: what is registered, remembered, or asked of the hook (S2)."""

import dataclasses
import enum
import functools
import math
import operator
import os
import typing

import flax.linen as nn
import jax
import pytest

from flaxlayer_core import AcceptModuleError, DecodeModuleError, EncodeModuleError
from flaxlayer_core.config import (
    decode_module,
    decode_value,
    encode_module,
    encode_value,
    register,
    remember,
    world,
)

CLASS = {"$type": "module", "class": "gone:Thing", "fields": []}


def wrap(root):
    return {"$type": "flaxlayer.module", "version": 1, "root": root}


@pytest.fixture(autouse=True)
def _own_world(monkeypatch):
    monkeypatch.setattr(world, "_registered", {})
    monkeypatch.setattr(world, "_remembered", {})


class Mode(enum.Enum):
    FAST = 1


class Point(typing.NamedTuple):
    x: object


@dataclasses.dataclass
class Options:
    mode: object


def double(x):
    return x * 2


def test_what_stands_in_the_fields_of_a_remembered_module_is_known():
    class Inner(nn.Module):
        act: object

    class Outer(nn.Module):
        parts: object
        block: type[nn.Module]

    held = {"a": [Options((Mode.FAST, Point(functools.partial(double))))], "b": nn.remat(Inner)}
    remember(Outer(held, Inner))
    known = {name.rpartition(".")[2].rpartition(":")[2] for name in world._remembered}
    assert known >= {"Outer", "Inner", "Options", "Mode", "Point", "double"}


def test_lambdas_captures_and_made_classes_are_not_remembered():
    scale = 2

    def captured(x):
        return x * scale

    remember([captured, lambda x: x, nn.remat(nn.Dense), nn.Dense, nn.relu])
    assert world._remembered == {}


def test_remembering_ends_for_a_value_that_contains_itself_and_for_deep_ones():
    loop = []
    loop.append(loop)
    remember(loop)
    for _ in range(10_000):
        loop = [loop]
    remember(loop)


def test_the_latest_definition_of_a_name_wins():
    def make(size):
        class Net(nn.Module):
            width: int = size

        return Net

    first, second = make(1), make(2)
    remember(first)
    remember(second)
    stored = encode_module(second())
    assert type(decode_module(stored)) is second


def test_the_hook_is_asked_by_the_stored_name_and_then_by_the_plain_one():
    asked = []

    def resolve(name):
        asked.append(name)
        return nn.Dropout if name == "Thing" else None

    root = {
        "$type": "module",
        "class": "gone.module:Outer.<locals>.Thing",
        "fields": [["rate", 0.5]],
    }
    assert decode_module(wrap(root), resolve=resolve) == nn.Dropout(0.5)
    assert asked == ["gone.module:Outer.<locals>.Thing", "Thing"]


def test_the_hook_comes_before_the_own_registry():
    @register
    class Net(nn.Module):
        pass

    class Other(nn.Module):
        pass

    found = decode_module(encode_module(Net()), resolve={"Net": Other}.get)
    assert type(found) is Other


def test_a_stock_name_is_not_taken_by_something_of_the_same_plain_name():
    stored = encode_module(nn.Dense(3))
    assert type(decode_module(stored, resolve={"Dense": object}.get)) is nn.Dense


@pytest.mark.parametrize(
    "answer", [nn.Dense(3), dict, object, len, "Dense", nn.Module, Options, Mode]
)
def test_an_answer_of_the_hook_is_checked_for_its_kind(answer):
    with pytest.raises(DecodeModuleError, match="a linen module class"):
        decode_module(wrap(CLASS), resolve=lambda name: answer)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"$type": "enum", "class": "x:y", "member": "FAST"}, "an enum class"),
        ({"$type": "dataclass", "class": "x:y", "fields": []}, "a dataclass"),
        ({"$type": "namedtuple", "class": "x:y", "fields": []}, "a named tuple class"),
        ({"$type": "class", "name": "x:y"}, "a class"),
        ({"$type": "method", "class": "x:y", "name": "init"}, "a module class"),
        ({"$type": "function", "name": "x:y"}, "a function"),
    ],
)
def test_every_use_of_a_name_checks_the_kind(node, expected):
    for answer in (3, "text", dict if expected != "a function" else nn.Dense):
        with pytest.raises(DecodeModuleError, match=expected):
            decode_value(node, path="value", resolve=lambda name, answer=answer: answer)


def _helper(x):
    return x


def test_what_a_function_or_a_method_captures_is_not_known():
    def make(inner):
        def act(x):
            return inner(x)

        return act

    class Owner(nn.Module):
        def method(self, x):
            return x

    remember([make(_helper), Owner().method, functools.partial(make(double))])
    assert world._remembered == {}


def test_what_a_stock_factory_was_given_is_known():
    def mine(key, shape, dtype=None):
        return jax.numpy.zeros(shape, dtype)

    remember(nn.Dense(2, kernel_init=nn.with_partitioning(mine, ("a", None))))
    assert [*world._remembered.values()] == [mine]


@pytest.mark.parametrize("builtin", [abs, max, math.sqrt, operator.add, os.system, eval])
def test_a_builtin_is_never_known(builtin):
    remember([builtin, functools.partial(builtin)])
    assert world._remembered == {}
    with pytest.raises(EncodeModuleError, match="a function that its name stands for"):
        encode_value(builtin, path="act")
    with pytest.raises(AcceptModuleError):
        register(builtin)


@pytest.mark.parametrize("stored", ["{module}:Net", "flaxlayer>Net"])
@pytest.mark.parametrize("loader", ["registered", "handed"])
def test_the_same_class_is_found_whichever_way_it_was_made_known(stored, loader):
    class Net(nn.Module):
        pass

    Net.__qualname__ = "Net"
    register(Net) if loader == "registered" else remember(Net())
    root = {"$type": "module", "class": stored.format(module=__name__), "fields": []}
    assert type(decode_module(wrap(root))) is Net


def test_the_main_program_and_its_importers_name_a_registered_class_alike():
    class Net(nn.Module):
        pass

    Net.__qualname__ = "Net"
    for home, stored in (("__main__", "net:Net"), ("net", "__main__:Net")):
        Net.__module__ = home
        root = {"$type": "module", "class": stored, "fields": []}
        with pytest.raises(DecodeModuleError):
            decode_module(wrap(root))
        register(Net)
        assert type(decode_module(wrap(root))) is Net
        world._registered.clear()
        world._remembered.clear()


def test_of_two_registered_classes_that_could_be_meant_none_is_taken():
    for home in ("one", "two"):
        made = type("Net", (nn.Module,), {"__module__": home, "__qualname__": "Net"})
        register(made, package=home)
    with pytest.raises(DecodeModuleError, match="'__main__:Net'"):
        decode_module(wrap({"$type": "module", "class": "__main__:Net", "fields": []}))


def test_classes_that_differ_in_a_default_are_different_definitions():
    def make(size):
        class Net(nn.Module):
            width: int = size

        return Net

    first, second = make(1), make(2)
    remember(first)
    remember(second)
    with pytest.raises(EncodeModuleError, match="another definition"):
        encode_module(first())
    assert decode_module(encode_module(make(2)())).width == 2
