"""By which of its codecs an object is stored (S1)."""

import dataclasses
import json

import flax.linen as nn
import jax.numpy as jnp
import pytest

from flaxlayer_core import AcceptModuleError, DecodeModuleError, EncodeModuleError
from flaxlayer_core.config import (
    decode_module,
    encode_module,
    register,
    remember,
    world,
)
from flaxlayer_core.config import object_codecs as protocols

pytestmark = [pytest.mark.law("S1"), pytest.mark.usefixtures("own_world")]


class Holder(nn.Module):
    value: object


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


def trip(value):
    remember(Holder(value))
    stored = json.dumps(encode_module(Holder(value)), allow_nan=False)
    return decode_module(json.loads(stored)).value


class Plain:
    def __init__(self, text):
        self.rows = text.split()


def test_a_registered_pair_stores_any_object():
    register(
        Plain, encode=lambda p: (" ".join(p.rows), jnp.arange(2)), decode=lambda t: Plain(t[0])
    )
    assert trip({"grid": Plain("a b")})["grid"].rows == ["a", "b"]


@pytest.mark.law("S2")
def test_what_a_registered_pair_stored_asks_for_the_pair(monkeypatch):
    register(Plain, encode=lambda p: " ".join(p.rows), decode=Plain)
    stored = encode_module(Holder(Plain("a b")))
    monkeypatch.setattr(protocols, "_codecs", {})
    for unknown in (True, False):
        if unknown:
            monkeypatch.setattr(world, "_registered", {})
            monkeypatch.setattr(world, "_remembered", {"x": Holder})
        with pytest.raises(DecodeModuleError) as caught:
            decode_module(
                stored, resolve=None if unknown else {"Plain": Plain, "Holder": Holder}.get
            )
        assert "flaxlayer.register(Plain" in caught.value.fix
        assert "encode=..., decode=...)" in caught.value.fix


def test_a_registered_pair_comes_before_every_protocol():
    register(Config, encode=lambda c: c.width, decode=lambda w: Config(w, double))
    assert trip(Config(3, double)).act is double
    register(nn.Dropout, name="Drop", encode=lambda m: m.rate, decode=nn.Dropout)
    stored = encode_module(nn.Dropout(0.5))
    assert stored["root"]["protocol"] == "registered"
    assert decode_module(stored) == nn.Dropout(0.5)


def test_a_registered_pair_is_for_exactly_its_class():
    class Wider(Plain):
        pass

    register(Plain, encode=lambda p: " ".join(p.rows), decode=Plain)
    with pytest.raises(EncodeModuleError):
        trip(Wider("a b"))


@pytest.mark.parametrize(
    ("encode", "decode", "kind"),
    [(str, None, Plain), (None, Plain, Plain), (dict, dict, dict), (str, str, double)],
)
def test_half_a_pair_or_one_for_what_is_no_own_class_is_refused(encode, decode, kind):
    with pytest.raises(AcceptModuleError):
        register(kind, encode=encode, decode=decode)


@dataclasses.dataclass
class Lossy:
    """Its own protocol loses what its fields tell: tuples become lists, dataclasses dicts."""

    point: object

    def to_dict(self):
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, config):
        return cls(**config)


@dataclasses.dataclass
class Keeping:
    width: int

    def __post_init__(self):
        self.note = None

    def get_config(self):
        return {"width": self.width, "note": self.note}

    @classmethod
    def from_config(cls, config):
        made = cls(config["width"])
        made.note = config["note"]
        return made


def test_of_several_protocols_the_first_that_loses_nothing_is_used():
    assert trip(Lossy((1, Lossy(2)))) == Lossy((1, Lossy(2)))
    value = Keeping(3)
    value.note = "beyond its fields"
    assert trip(value).note == "beyond its fields"
