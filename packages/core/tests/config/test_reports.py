"""Refusals: whatever a file holds ends in one of ours, with a message of bounded length (S6)."""

import base64
import dataclasses

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer_core import DecodeModuleError
from flaxlayer_core.config import decode_module, decode_value, encode_module, remember
from flaxlayer_core.config.reports import explain, refuse, shorten

pytestmark = pytest.mark.law("S6")


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


class Wordless(Exception):
    def __str__(self):
        raise ValueError("no words")


class Unspeakable:
    def __repr__(self):
        raise AssertionError("asked for its words")


class Failing(nn.Module):
    how: str = ""

    def __post_init__(self):
        if self.how == "wordless":
            raise Wordless
        if self.how == "wordy":
            raise ValueError("a" * 100_000)
        if self.how == "endless":
            Failing(self.how)
        if self.how == "memory":
            raise MemoryError
        if self.how == "interrupted":
            raise KeyboardInterrupt
        if self.how == "exits":
            raise SystemExit(3)
        super().__post_init__()


class Settings:
    def __init__(self, **held):
        self.held = held

    def get_config(self):
        return self.held


VALUES = {
    "integer": 1 << 60_000,
    "negative integer": -(1 << 60_000),
    "text": "a" * 100_000,
    "list": [1 << 60_000],
    "mapping": {"a": 1 << 60_000},
    "many keys": {str(number): 1 for number in range(10_000)},
    "set": {1 << 60_000},
    "deep": deep(100_000),
    "deep mapping": {"a": deep(100_000)},
    "object": Unspeakable(),
    "objects": (Unspeakable(), [Unspeakable()], {1: Unspeakable()}),
    "module": nn.Sequential([nn.Dense(3)] * 10_000),
}


@pytest.mark.parametrize("name", VALUES)
def test_any_value_has_a_short_form(name):
    assert len(shorten(VALUES[name])) < 2_000


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), (None, "None"), (True, "True"), (0.5, "0.5"), ("a", "'a'"), ([1, "b"], "[1, 'b']")],
    ids=["int", "none", "bool", "float", "text", "list"],
)
def test_what_json_holds_is_written_as_it_is(value, text):
    assert shorten(value) == text


def test_a_class_that_has_the_name_of_a_built_in_one_is_no_such():
    assert "an object of class" in shorten(type("int", (), {})())


def test_an_error_without_words_is_explained():
    assert explain(Wordless()).startswith("Wordless")


def test_a_long_path_keeps_both_ends():
    text = refuse("first" + ".a" * 50_000 + ".last", expected="a", found="b").failed
    assert len(text) < 2_000
    assert "first" in text
    assert "last" in text


@pytest.mark.parametrize("char", ["\x1b", "\x00", "\r", "\x9b", "\u202e", "\ud800"], ids=ascii)
def test_no_message_has_a_character_that_steers_a_terminal(char):
    fields = [[f"{char}[31m", {"$type": char}], [char, char]]
    nodes = [
        {"$type": "module", "class": "flax.linen:Dense", "fields": fields},
        {"$type": "module", "class": "flax.linen:Dense", "fields": [[char, 1]]},
        {"$type": "module", "class": char, "fields": []},
        {"$type": "function", "name": f"os:{char}"},
        {"$type": "dict", "items": [[char, {"$type": char}]]},
        {char: char},
        {"$type": "constant", "name": char},
    ]
    for node in nodes:
        with pytest.raises(DecodeModuleError) as caught:
            decode_value(node, path="value")
        assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("key", ["$type", "version", "root", "streams", "other", "whole"])
def test_an_envelope_of_anything_is_refused(key, name):
    config = {"$type": "flaxlayer.module", "version": 1, "root": None}
    with pytest.raises(DecodeModuleError) as caught:
        decode_module(VALUES[name] if key == "whole" else config | {key: VALUES[name]})
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize("how", ["wordless", "wordy", "endless", "memory"])
def test_a_constructor_that_fails_is_a_refusal(how):
    stored = encode_module(Failing())
    stored["root"]["fields"] = [["how", how]]
    with pytest.raises(DecodeModuleError, match="fields that Failing accepts") as caught:
        decode_module(stored)
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize(
    ("how", "raised"), [("interrupted", KeyboardInterrupt), ("exits", SystemExit)]
)
def test_an_interruption_passes_through(how, raised):
    stored = encode_module(Failing())
    stored["root"]["fields"] = [["how", how]]
    with pytest.raises(raised):
        decode_module(stored)


def test_a_class_of_many_fields_is_not_listed_whole():
    names = [f"field_with_a_long_name_{index}" for index in range(10_000)]
    wide = dataclasses.make_dataclass("Wide", [(name, object, None) for name in names])
    wide.__module__ = __name__
    remember(wide)
    node = {"$type": "dataclass", "class": f"{__name__}:Wide", "fields": [["other", 1]]}
    with pytest.raises(DecodeModuleError, match="the fields of Wide") as caught:
        decode_value(node, path="value")
    assert len(str(caught.value)) < 50_000


def array(form, dtype, shape, data):
    return {
        "$type": "array",
        "form": form,
        "dtype": dtype,
        "shape": shape,
        "data": base64.b64encode(data).decode(),
    }


BIG = {"$type": "int", "hex": hex(1 << 8_000)}
ODD = {
    "key": {"$type": "dict", "items": [[BIG, {"$type": "function", "name": "os:system"}]]},
    "key of a configuration": {
        "$type": "config_dict",
        "class": "ml_collections:ConfigDict",
        "items": [[BIG, {"$type": "function", "name": "os:system"}]],
        "locked": False,
        "flags": [],
    },
    "range": {"$type": "range", "start": BIG, "stop": "a", "step": BIG},
    "complex": {"$type": "complex", "real": BIG, "imag": 1},
    "empty but large": array("numpy", "int8", [0] + [(1 << 31) - 1] * 20, b""),
    "unsigned and weak": array("jax_weak", "uint64", [], b"\xff" * 8),
    "spec": {"$type": "partition_spec", "items": [[["a"]], {"$type": "dict", "items": []}]},
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_value_is_refused(name):
    with pytest.raises(DecodeModuleError) as caught:
        decode_value(ODD[name], path="value")
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize(
    "name",
    [[], {"$type": "dict", "items": []}, BIG, 1.5, None, array("numpy", "int8", [1], b"a")],
    ids=["list", "mapping", "integer", "float", "none", "array"],
)
def test_a_nested_object_of_keras_without_a_name_is_refused(name):
    remember(Settings())
    held = {"$type": "dict", "items": [["class_name", name], ["config", name]]}
    config = {"$type": "dict", "items": [["a", held]]}
    node = {
        "$type": "object",
        "class": f"{__name__}:Settings",
        "protocol": "get_config",
        "config": config,
    }
    with pytest.raises(DecodeModuleError, match="stored objects of Keras"):
        decode_value(node, path="value")


def test_a_class_whose_instances_compare_badly_is_refused():
    class Uncomparable:
        def __init__(self, **held):
            self.held = held

        def get_config(self):
            return self.held

        def __hash__(self):
            return 1

        def __eq__(self, other):
            raise np.exceptions.AxisError("no")

    remember(Uncomparable())
    node = {
        "$type": "object",
        "class": f"{__name__}:{Uncomparable.__qualname__}",
        "protocol": "get_config",
        "config": {"$type": "dict", "items": []},
    }
    with pytest.raises(DecodeModuleError):
        decode_value({"$type": "set", "items": [node, node]}, path="value")
