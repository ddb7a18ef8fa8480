"""What a module that was handed to a layer makes known: what stands in it by name (S2)."""

import functools
import operator
import subprocess
from types import SimpleNamespace

import flax.linen as nn
import jax
import pytest

from flaxlayer_core import DecodeModuleError
from flaxlayer_core.config import decode_module, decode_value, encode_module, remember, world

pytestmark = pytest.mark.law("S2")


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    for table in ("_registered", "_remembered"):
        monkeypatch.setattr(world, table, {})


def hidden(x):
    return x


def other(x):
    return x


class Holder:
    def method(self, x):
        return hidden(x)

    @classmethod
    def of_class(cls, x):
        return hidden(x)


class Calling:
    def __init__(self, inner):
        self.inner = inner

    def __call__(self, x):
        return self.inner(x)


class Settings:
    """Says of what it holds a part."""

    def __init__(self, told=None):
        self.told = told
        self._cache = hidden

    def get_config(self):
        return {"told": self.told}


class Slotted:
    __slots__ = ("_cache",)

    def __init__(self):
        self._cache = hidden

    def get_config(self):
        return {}


class Endless:
    def __init__(self, levels=0):
        self.levels = levels

    def get_config(self):
        return {"first": Endless(self.levels + 1), "second": Endless(self.levels + 1)}


class Failing:
    def __init__(self):
        self.inner = hidden

    def get_config(self):
        raise RuntimeError("not now")


class Owner(nn.Module):
    held: object = None

    def __call__(self, x):
        return x


class Wrapping:
    __wrapped__ = hidden


def capture(function):
    def inner(x):
        return function(x)

    return inner


UNNAMED = {
    "captured": capture(hidden),
    "wrapped": functools.wraps(hidden)(capture(hidden)),
    "wrapped twice": functools.wraps(hidden)(functools.wraps(other)(capture(hidden))),
    "cached": functools.lru_cache(hidden),
    "compiled": jax.jit(hidden),
    "batched": jax.vmap(hidden),
    "with a derivative": jax.custom_jvp(hidden),
    "partial of a capture": functools.partial(capture(hidden), 1),
    "partial of a builtin": functools.partial(operator.add, 1),
    "bound": Holder().method,
    "bound to a class": Holder.of_class,
    "partial of a bound one": functools.partial(Holder().method),
    "callable object": Calling(hidden),
    "class that wraps": Wrapping,
    "object that wraps": Wrapping(),
    "class without a kind": subprocess.Popen,
    "static method": staticmethod(hidden),
    "property": property(hidden),
    "partial method": functools.partialmethod(hidden),
    "dispatching": functools.singledispatch(hidden),
    "getter": operator.itemgetter(1),
}


@pytest.mark.parametrize("name", UNNAMED)
@pytest.mark.parametrize(
    "place",
    [lambda value: value, lambda value: {"a": [(value,)]}, lambda value: {value: 1}],
    ids=["field", "item", "key"],
)
def test_what_nobody_named_is_not_known(name, place):
    remember(Owner(place(UNNAMED[name])))
    assert [*world._remembered] == [f"{__name__}:Owner"]


@pytest.mark.parametrize("kind", [Settings, Slotted, Failing])
def test_what_an_object_does_not_tell_is_not_known(kind):
    remember(Owner(kind()))
    assert {*world._remembered} == {f"{__name__}:Owner", f"{__name__}:{kind.__name__}"}


NAMED = {
    "field": hidden,
    "partial": functools.partial(hidden, 1),
    "argument of a partial": functools.partial(capture(other), hidden),
    "namespace": SimpleNamespace(a=hidden),
    "told": Settings(hidden),
    "told deeper": Settings([Settings({"a": hidden})]),
    "policy": nn.remat(Owner, policy=hidden)(),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_a_field_or_an_argument_is_known(name):
    remember(Owner(NAMED[name]))
    assert f"{__name__}:hidden" in world._remembered


def test_remembering_ends_for_objects_that_tell_of_others_without_end():
    remember(Owner(Endless()))
    assert f"{__name__}:Endless" in world._remembered


def test_a_refused_file_leaves_what_is_known_as_it_was():
    remember(Owner(hidden))
    stored = encode_module(Owner(functools.partial(hidden, 1)))
    before = dict(world._remembered), dict(world._registered)
    unknown = {"$type": "function", "name": "os:system"}
    for node in (
        [stored["root"], unknown],
        {**stored["root"], "fields": [["held", unknown]]},
        {**stored["root"], "fields": [["other", stored["root"]]]},
        {"$type": "function", "name": f"{__name__}:other"},
        {"$type": "class", "name": f"{__name__}:Settings"},
    ):
        with pytest.raises(DecodeModuleError):
            decode_value(node, path="value", resolve={"Settings": 3}.get)
    decode_module(stored)
    assert (world._remembered, world._registered) == before
