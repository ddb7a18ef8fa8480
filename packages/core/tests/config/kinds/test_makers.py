"""What makes a module, as JSON and back."""

import dataclasses
import functools
import json

import flax.linen as nn
import pytest

from flaxlayer_core.config import (
    decode_module,
    encode_module,
    register,
    remember,
    remember_maker,
    world,
)
from flaxlayer_core.config.kinds.makers import _handed
from flaxlayer_core.errors import DecodeModuleError, EncodeModuleError
from flaxlayer_core.modules.wrapping import wrap_module

pytestmark = pytest.mark.law("S5")

CALLED = []


class Net(nn.Module):
    width: int = 4

    @classmethod
    def wide(cls, width=8):
        CALLED.append(width)
        return cls(width)

    @staticmethod
    def narrow(width=1):
        CALLED.append(width)
        return Net(width)


@dataclasses.dataclass
class Config:
    width: int

    def build(self, scale=1):
        CALLED.append(scale)
        return Net(self.width * scale)

    def __call__(self):
        CALLED.append(1)
        return Net(self.width)


def build(width=3):
    CALLED.append(width)
    return Net(width)


@pytest.fixture(autouse=True)
def own_tables():
    """A process of its own: nothing is known that the test does not hand over or register."""
    tables = (world._registered, world._remembered, _handed)
    before = [dict(table) for table in tables]
    for table in tables:
        table.clear()
    CALLED.clear()
    yield
    for table, held in zip(tables, before, strict=True):
        table.clear()
        table.update(held)


def hand_over(factory):
    remember(factory)
    remember_maker(factory)


FACTORIES = [
    build,
    functools.partial(build, 7),
    functools.partial(Net, 5),
    Net,
    Net.wide,
    functools.partial(Net.wide, width=9),
    Net.narrow,
    Config(6).build,
    functools.partial(Config(6).build, scale=2),
    Config(7),
]


@pytest.mark.parametrize("factory", FACTORIES)
def test_what_was_handed_over_is_stored_by_name_and_arguments(factory):
    hand_over(factory)
    config = json.loads(json.dumps(encode_module(factory)))
    again = decode_module(config)
    assert not CALLED  # only a layer calls it
    assert wrap_module(again).module == wrap_module(factory).module


@pytest.mark.parametrize("factory", FACTORIES[:2] + FACTORIES[4:])
@pytest.mark.law("S2")
def test_a_file_calls_nothing_that_nobody_named_as_a_maker(factory):
    hand_over(factory)
    config = encode_module(factory)
    _handed.clear()
    for known in (Net(), Config(1), functools.partial(dict, act=build)):
        remember(known)  # in fields, where nobody calls them
    with pytest.raises(DecodeModuleError, match=r"(?s)handed to a layer.*register"):
        decode_module(config)
    assert not CALLED


@pytest.mark.parametrize(
    ("factory", "named"),
    [
        (functools.partial(build, 7), [build]),
        (Net.wide, [Net]),
        (Net.narrow, [Net]),
        (Config(6).build, [Config, Config.build]),
        (Config(7), [Config]),
    ],
)
@pytest.mark.law("S2")
def test_who_registers_it_may_load_it(factory, named):
    hand_over(factory)
    config = encode_module(factory)
    _handed.clear()
    for each in named:
        register(each)
    assert wrap_module(decode_module(config)).module == wrap_module(factory).module


@pytest.mark.law("S2")
def test_names_of_custom_objects_are_named():
    hand_over(build)
    config = encode_module(functools.partial(build, 7))
    for table in (_handed, world._remembered):
        table.clear()
    known = {"build": build}
    assert decode_module(config, resolve=known.get).func is build


@pytest.mark.parametrize(
    "root",
    [
        {"$type": "function", "name": "jax.numpy:zeros"},
        {"$type": "function", "name": "jax.nn:relu"},
        {"$type": "class", "name": "builtins:int"},
        {"$type": "bound", "self": "text", "name": "zfill"},
        {"$type": "bound", "self": {"$type": "tuple", "items": []}, "name": "count"},
        {"$type": "bound", "self": {"$type": "class", "name": "flax.linen:Dense"}, "name": "clone"},
        {"$type": "bound", "self": {"$type": "class", "name": "flax.linen:Dense"}, "name": ["a"]},
        {"$type": "bound", "self": {"$type": "class", "name": "flax.linen:Dense"}, "name": "mro"},
    ],
)
@pytest.mark.law("S2")
def test_stock_functions_and_methods_of_values_make_no_module(root):
    config = {"$type": "flaxlayer.module", "version": 1, "root": root}
    with pytest.raises(DecodeModuleError):
        decode_module(config)
    partial = {"$type": "partial", "tree": False, "func": root, "args": [3], "keywords": []}
    with pytest.raises(DecodeModuleError):
        decode_module({**config, "root": partial})


def test_what_has_no_name_says_so_when_it_is_stored():
    with pytest.raises(EncodeModuleError, match=r"(?s)Cannot store .*<lambda>.*named function"):
        encode_module(lambda: Net(1))
    with pytest.raises(EncodeModuleError, match="Leave rngs out"):
        encode_module(functools.partial(build, rngs=3))
