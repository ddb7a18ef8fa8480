"""The error of names that are not known (S2)."""

import re

import pytest

from flaxlayer_core import DecodeModuleError
from flaxlayer_core.config import (
    decode_module,
    decode_value,
    world,
)

CLASS = {"$type": "module", "class": "gone:Thing", "fields": []}


def wrap(root):
    return {"$type": "flaxlayer.module", "version": 1, "root": root}


@pytest.fixture(autouse=True)
def _own_world(monkeypatch):
    monkeypatch.setattr(world, "_registered", {})
    monkeypatch.setattr(world, "_remembered", {})


def test_an_unknown_name_says_how_to_make_it_known():
    with pytest.raises(DecodeModuleError) as caught:
        decode_module(wrap(CLASS))
    assert str(caught.value).splitlines() == [
        "Cannot load module.",
        "Expected: a linen module class known to this process: stock Flax, registered, or handed "
        "to a layer",
        "Found: 'gone:Thing'",
        "Fix: Before loading, import what you trust of these and run: "
        "flaxlayer.register(gone.Thing). Or load with custom_objects={'Thing': gone.Thing}.",
        "Law: S2",
    ]


def test_all_unknown_names_are_listed_once_in_their_order():
    act = {"$type": "function", "name": "gone:act"}
    inner = {"$type": "module", "class": "mine>Inner", "fields": [["act", act], ["again", act]]}
    stock = {"$type": "function", "name": "jax.nn:relu"}
    root = {**CLASS, "fields": [["inner", inner], ["stock", stock], ["list", [inner]]]}
    with pytest.raises(DecodeModuleError) as caught:
        decode_module(wrap(root))
    assert caught.value.found == "'gone:Thing', 'mine>Inner', 'gone:act'"
    assert caught.value.fix == (
        "Before loading, import what you trust of these and run: flaxlayer.register(gone.Thing); "
        "flaxlayer.register(Inner, package='mine', name='Inner'); flaxlayer.register(gone.act). "
        "Or load with custom_objects={'Thing': gone.Thing, 'Inner': Inner, 'act': gone.act}."
    )


def test_names_that_share_their_last_part_are_told_apart_in_custom_objects():
    root = {**CLASS, "fields": [["x", {"$type": "class", "name": "other:Thing"}]]}
    with pytest.raises(DecodeModuleError) as caught:
        decode_module(wrap(root))
    assert caught.value.fix.endswith(
        "custom_objects={'gone:Thing': gone.Thing, 'other:Thing': other.Thing}."
    )


def test_the_error_of_a_file_of_junk_names_stays_short():
    nodes = [{"$type": "function", "name": f"{index}:" + "a" * 10_000} for index in range(1000)]
    with pytest.raises(DecodeModuleError) as caught:
        decode_value(nodes, path="value")
    assert re.search(r" and 9\d\d more$", caught.value.found)
    assert "characters)" not in caught.value.fix
    assert len(str(caught.value)) <= 8_000
