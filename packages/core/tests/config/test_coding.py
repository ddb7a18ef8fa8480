"""The envelope of a stored module (S2)."""

import flax.linen as nn
import pytest

from flaxlayer_core import DecodeModuleError
from flaxlayer_core.config import (
    decode_module,
    encode_module,
    world,
)


def wrap(root):
    return {"$type": "flaxlayer.module", "version": 1, "root": root}


def dense(*fields, cls="flax.linen:Dense"):
    return {"$type": "module", "class": cls, "fields": [["features", 3], *map(list, fields)]}


@pytest.mark.parametrize(
    "root", [None, [], {}, 3, "module", wrap(dense())["root"], {**wrap(dense()), "x": 1}]
)
def test_what_is_no_envelope_is_refused(root):
    with pytest.raises(DecodeModuleError, match="what encode_module returned"):
        decode_module(root)


@pytest.mark.parametrize("streams", ["noise", [1], [["noise"]], {}, ["noise"], ["n" * (2 << 20)]])
def test_streams_are_names_and_belong_to_what_makes_an_nnx_module(streams):
    with pytest.raises(DecodeModuleError):
        decode_module({**wrap(dense()), "streams": streams})


@pytest.mark.parametrize("version", [0, 2, True, "1", None, 1.0])
def test_another_format_is_refused(version):
    with pytest.raises(DecodeModuleError, match=r"version|format"):
        decode_module({**wrap(dense()), "version": version})


@pytest.fixture(autouse=True)
def _own_world(monkeypatch):
    monkeypatch.setattr(world, "_registered", {})
    monkeypatch.setattr(world, "_remembered", {})


def test_the_namer_gives_the_stored_name():
    class Net(nn.Module):
        act: object

    names = {Net: "keras_package>Net", nn.relu: None}
    stored = encode_module(Net(nn.relu), namer=names.get)
    assert stored["root"]["class"] == "keras_package>Net"
    assert type(decode_module(stored, resolve={"keras_package>Net": Net}.get)) is Net


def test_what_is_stored_in_the_place_of_a_module_must_be_one():
    with pytest.raises(DecodeModuleError, match="an instance of Module"):
        decode_module(wrap([1, 2]))
