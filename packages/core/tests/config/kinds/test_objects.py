"""Objects of users' classes are stored by their own protocol, or by a registered pair (S1)."""

import dataclasses
import enum
import json
import random
import typing
from collections import OrderedDict
from types import SimpleNamespace

import attr
import attrs
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pydantic
import pytest
from flax import struct

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

pytestmark = [pytest.mark.law("S1"), pytest.mark.usefixtures("own_world")]


class Holder(nn.Module):
    value: object


class Mode(enum.Enum):
    FAST = 1


def double(x):
    return 2 * x


class Config:
    """As Keras asks of a class that it stores."""

    def __init__(self, width, act=None):
        self.width, self.act = width, act

    def get_config(self):
        return {"width": self.width, "act": self.act}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class NoMaker:
    def __init__(self, width):
        self.width = width

    def get_config(self):
        return {"width": self.width}


class Pretrained:
    """As in transformers: it adds to what it tells, in another order, and changes what it reads."""

    def __init__(self, hidden=8, **kwargs):
        self.version = kwargs.pop("version", None)
        self.hidden = hidden
        self.kwargs = kwargs

    def to_dict(self):
        extra = self.kwargs if self.version else OrderedDict(reversed(self.kwargs.items()))
        return {"hidden": self.hidden, "version": "4.57", **extra}

    @classmethod
    def from_dict(cls, config):
        config["read"] = True
        return cls(**{key: value for key, value in config.items() if key != "read"})


class AttributeDict(dict):
    __getattr__ = dict.__getitem__


class FrozenDict(OrderedDict):
    """As in diffusers."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for key, value in self.items():
            setattr(self, key, value)
        self.__frozen = True

    def __setattr__(self, name, value):
        if hasattr(self, "__frozen") and self.__frozen:
            raise TypeError("frozen")
        super().__setattr__(name, value)


class Sizes(tuple):
    pass


class Named(typing.NamedTuple):
    x: object

    def to_dict(self):
        return self._asdict()


@attr.s(auto_attribs=True)
class Old:
    width: int
    _hidden: object = 3
    act: object = lambda x: x
    parts: list = attr.Factory(list)


@attrs.frozen
class New:
    dtype: object
    old: Old = attrs.field(kw_only=True)


class Inner(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    sizes: tuple[int, ...] = (1,)
    dtype: typing.Any = None
    aliased: int = pydantic.Field(3, alias="alias")


class Outer(pydantic.BaseModel):
    inner: Inner
    mode: Mode
    act: typing.Callable = nn.relu


class Open(pydantic.BaseModel, frozen=True, extra="allow"):
    name: str = "a"


@struct.dataclass
class Struct:
    width: int
    act: object = struct.field(pytree_node=False, default=nn.relu)


def trip(value):
    remember(Holder(value))
    stored = json.dumps(encode_module(Holder(value)), allow_nan=False)
    return decode_module(json.loads(stored)).value


EQUAL = {
    "attrs": lambda: Old(1, hidden=(2, 3), parts=[nn.Dense(2)]),
    "attrs nested": lambda: New(jnp.bfloat16, old=Old(5)),
    "pydantic": lambda: Inner(sizes=(1, 2), dtype=jnp.float32, alias=7),
    "pydantic nested": lambda: Outer(inner=Inner(), mode=Mode.FAST, act=double),
    "pydantic open": lambda: Open(other=[1, 2]),
    "namespace": lambda: SimpleNamespace(a=1, b=SimpleNamespace(act=nn.gelu)),
    "flax.struct": lambda: Struct(3, act=double),
    "attribute dict": lambda: AttributeDict(a=1, b=AttributeDict(c=(1, 2))),
    "diffusers": lambda: FrozenDict(a=1, b=[2]),
    "tuple": lambda: Sizes((1, Sizes((2,)))),
    "named tuple": lambda: Named(Named((1, 2))),
}


@pytest.mark.parametrize("name", EQUAL)
def test_an_object_that_can_be_compared_comes_back_equal(name):
    value = EQUAL[name]()
    again = trip(value)
    assert type(again) is type(value)
    assert again == value


@pytest.mark.parametrize("kind", [Config, NoMaker])
def test_get_config_is_used(kind):
    assert vars(trip(kind((1, jnp.int8)))) == vars(kind((1, jnp.int8)))
    assert encode_value(kind(3), path="c")["protocol"] == "get_config"


def test_to_dict_is_used_whatever_order_it_has():
    value = Pretrained(4, b=1, a=(2, 3), nested={"x": 1})
    again = trip(value)
    assert again.hidden == 4
    assert again.kwargs == {"b": 1, "a": (2, 3), "nested": {"x": 1}}


def test_what_a_configuration_holds_is_stored_recursively():
    value = Config({"modules": [nn.Dense(3), Config(np.arange(3))], "mode": Mode.FAST}, double)
    again = trip(value)
    assert again.act is double
    assert again.width["modules"][0] == nn.Dense(3)
    assert (again.width["modules"][1].width == np.arange(3)).all()
    assert again.width["mode"] is Mode.FAST


def test_one_object_at_two_places_is_one_object_again():
    shared = Config(1)
    again = trip([shared, {"a": shared}])
    assert again[0] is again[1]["a"]


def test_classes_of_what_stands_in_a_configuration_become_known():
    remember(Holder(SimpleNamespace(a=Config(New(1, old=Old(Open()))))))
    known = {name.rpartition(":")[2] for name in world._remembered}
    assert known == {"Holder", "Config", "New", "Old", "Open"}


class Plain:
    def __init__(self, text):
        self.rows = text.split()


def test_an_object_without_a_protocol_is_refused_with_the_fix():
    with pytest.raises(EncodeModuleError) as caught:
        encode_module(Holder({"grid": Plain("a b")}))
    assert str(caught.value).splitlines()[0] == "Cannot store Holder.value['grid']."
    assert caught.value.fix == (
        "flaxlayer.register(Plain, encode=..., decode=...), before loading too; or give the layer "
        "what makes the module: FlaxLayer(functools.partial(build, ...))."
    )
    with pytest.raises(AcceptModuleError, match="encode="):
        register(Plain)


class Renamed(Config):
    def get_config(self):
        return {"size": self.width}


class Doubled(Config):
    def __init__(self, width):
        super().__init__(2 * width)

    def get_config(self):
        return {"width": self.width}


class Failing(Config):
    def get_config(self):
        raise NotImplementedError("not today")


class Foreign(Config):
    @classmethod
    def from_config(cls, config):
        return Config(**config)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (Renamed(1), "unexpected keyword argument 'size'"),
        (Doubled(1), "makes another object"),
        (Failing(1), "whose get_config gives NotImplementedError: not today"),
        (Foreign(1), "an object of class .*Config"),
    ],
    ids=["renamed", "doubled", "failing", "foreign"],
)
def test_what_could_not_be_loaded_again_is_said_when_saving(value, found):
    with pytest.raises(EncodeModuleError, match=found) as caught:
        encode_module(Holder([value]))
    assert caught.value.failed == "Cannot store Holder.value[0]."
    assert "encode=..., decode=..." in caught.value.fix


def test_a_lambda_in_a_configuration_is_named_by_its_path():
    with pytest.raises(EncodeModuleError, match=r"Holder\.value\['width'\]\['act'\]\."):
        encode_module(Holder(Config({"act": lambda x: x})))


def test_a_configuration_that_contains_itself_is_refused():
    value = Config(1)
    value.width = [value]
    with pytest.raises(EncodeModuleError, match="contains itself"):
        encode_module(Holder(value))


@dataclasses.dataclass
class Growing:
    width: int

    def __post_init__(self):
        self.width *= 2


@dataclasses.dataclass
class Settled:
    sizes: object

    def __post_init__(self):
        self.sizes = tuple(self.sizes)


class GrowingModule(nn.Module):
    width: int

    def __post_init__(self):
        self.width = self.width * 2
        super().__post_init__()


class SettledModule(nn.Module):
    sizes: object

    def __post_init__(self):
        self.sizes = tuple(self.sizes)
        super().__post_init__()


@pytest.mark.parametrize("kind", [Growing, GrowingModule])
def test_fields_that_the_constructor_changes_each_time_are_refused_when_saving(kind):
    with pytest.raises(EncodeModuleError, match="makes another object"):
        encode_module(Holder(kind(1)))


@pytest.mark.parametrize("kind", [Settled, SettledModule])
def test_fields_that_the_constructor_settles_are_stored(kind):
    assert trip(kind([1, 2])) == kind([1, 2])
    shared = kind([1])
    again = trip([shared, shared])
    assert again[0] is again[1]


def test_storing_draws_no_seeds():
    class Drawing(Config):
        def __init__(self, width):
            super().__init__(width)
            self.seed = random.random()

        def get_config(self):
            return {"width": self.width}

    value = Drawing(1)
    random.seed(0)
    encode_module(Holder(value))
    first = random.random()
    random.seed(0)
    assert random.random() == first


class Weighted(Config):
    """As a layer of Keras: its configuration is not all of it."""

    def save_own_variables(self, store):
        pass


def test_what_has_weights_of_its_own_is_no_configuration():
    with pytest.raises(EncodeModuleError, match="an object of class"):
        encode_module(Holder(Weighted(1)))


@pytest.mark.law("S2")
@pytest.mark.parametrize(
    "change",
    [
        {"class": "os:system"},
        {"class": "flax.linen:Dense"},
        {"protocol": "to_dict"},
        {"protocol": 3},
        {"protocol": "registered"},
        {"config": {"$type": "dict", "items": [["other", 1]]}},
        {"config": 3},
        {"config": {"$type": "function", "name": "os:system"}},
    ],
)
def test_a_stored_object_that_was_tampered_with_is_refused(change):
    stored = encode_value(Config(1), path="value")
    assert decode_value(stored, path="value").width == 1
    with pytest.raises(DecodeModuleError):
        decode_value({**stored, **change}, path="value")
