"""`ml_collections` configurations come back with their references, types and locks (S1)."""

import enum
import json
import subprocess
import sys
import typing

import flax.linen as nn
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict, FrozenConfigDict
from ml_collections.config_dict import FieldReference, placeholder, required_placeholder

from flaxlayer_core import DecodeModuleError, EncodeModuleError
from flaxlayer_core.config import decode_module, decode_value, encode_module, encode_value

pytestmark = pytest.mark.law("S1")


class Holder(nn.Module):
    config: object


class Mode(enum.Enum):
    FAST = 1


class Point(typing.NamedTuple):
    x: object


class Subclass(ConfigDict):
    pass


def trip(value):
    stored = json.dumps(encode_module(Holder(value)), allow_nan=False)
    return decode_module(json.loads(stored)).config


def rich():
    return {
        "sizes": (1, 2),
        "list": [1, [2]],
        "nested": {"dtype": jnp.bfloat16, "act": nn.relu, "rate": 0.5},
        "module": nn.Dense(3),
        "none": None,
        "mode": Mode.FAST,
        "point": Point(3),
    }


@pytest.mark.parametrize("kind", [ConfigDict, FrozenConfigDict])
@pytest.mark.parametrize("held", [{}, rich()], ids=["empty", "rich"])
def test_it_comes_back_equal_and_of_its_class(kind, held):
    value = kind(held)
    again = trip(value)
    assert type(again) is kind
    assert again == value
    assert all(type(a) is type(b) for a, b in zip(again.values(), value.values(), strict=True))


def test_a_frozen_one_has_the_same_hash():
    value = FrozenConfigDict({"a": [1, 2], "b": {"c": {3, 4}, "d": (5,)}})
    assert hash(trip(value)) == hash(value)


def test_flags_are_kept():
    value = ConfigDict(type_safe=False, convert_dict=False, sort_keys=False)
    value.b, value.a = {"plain": 1}, 2
    again = trip(value)
    assert (again.is_type_safe, again.convert_dict, list(again)) == (False, False, ["b", "a"])
    assert type(again.b) is dict
    dotted = ConfigDict({"a.b": 1}, allow_dotted_keys=True)
    assert trip(dotted) == dotted


@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize("outer", [True, False])
def test_each_level_is_locked_as_it_was(outer, inner):
    value = ConfigDict({"a": 1, "nested": {"b": 2}})
    if outer:
        value.lock()
    (value.nested.lock if inner else value.nested.unlock)()
    again = trip(value)
    assert (again.is_locked, again.nested.is_locked) == (outer, inner)
    assert again == value


def test_a_placeholder_is_still_one():
    value = ConfigDict({"size": placeholder(int), "name": required_placeholder(str)})
    again = trip(value)
    assert again.size is None
    with pytest.raises(TypeError):
        again.size = "text"
    again.size = 3
    with pytest.raises(type(_error(lambda: value.name))):
        _ = again.name


def _error(call):
    try:
        call()
    except Exception as error:
        return error


def test_a_reference_refers_at_every_place():
    value = ConfigDict({"width": 3, "nested": {}})
    value.same = value.get_ref("width")
    value.nested.deep = value.get_ref("width")
    value.twice = value.get_ref("width") * 2
    again = trip(value)
    assert again == value
    again.width = 5
    assert (again.same, again.nested.deep) == (5, 5)
    assert again.twice == 6  # what was computed is stored as what it came to


def test_a_reference_stands_in_a_field_by_itself():
    again = trip(FieldReference(None, field_type=(int, str)))
    assert again.get() is None
    assert again.get_type() == (int, str)


def test_a_subclass_is_known_like_other_classes():
    again = trip(Subclass({"a": Subclass({"b": 1})}))
    assert (type(again), type(again.a)) == (Subclass, Subclass)


def test_what_cannot_be_stored_is_named_by_its_path():
    with pytest.raises(EncodeModuleError, match=r"Cannot store Holder\.config\.nested\.act\."):
        encode_module(Holder(ConfigDict({"nested": {"act": lambda x: x}})))
    value = ConfigDict()
    value.itself = value
    with pytest.raises(EncodeModuleError, match="contains itself"):
        encode_module(Holder(value))


STORED = encode_value(ConfigDict({"a": 1, "r": FieldReference(3)}).lock(), path="c")


@pytest.mark.law("S2")
@pytest.mark.parametrize(
    "change",
    [
        {"class": "flax.linen:Dense"},
        {"class": "ml_collections:FieldReference"},
        {"class": "ml_collections:os"},
        {"items": [["a.b", 1]]},
        {"items": [["a", 1], ["a", 2]]},
        {"items": 3},
        {"items": [[[], 1]]},
        {"locked": 1},
        {"flags": [["_fields", True]]},
        {"flags": [["type_safe", "yes"]]},
    ],
)
def test_a_stored_one_that_was_tampered_with_is_refused(change):
    assert decode_value(STORED, path="c").a == 1
    with pytest.raises(DecodeModuleError):
        decode_value({**STORED, **change}, path="c")


@pytest.mark.law("S2")
def test_the_package_is_never_imported():
    script = """
        import json, sys
        from flaxlayer_core import DecodeModuleError
        from flaxlayer_core.config import decode_value
        stored = json.loads(sys.argv[1])
        try:
            decode_value(stored, path="c")
        except DecodeModuleError as error:
            assert "ml_collections:ConfigDict" in error.found
            assert "register(ml_collections.ConfigDict)" in error.fix
        else:
            raise AssertionError("it was found")
        assert "ml_collections" not in sys.modules
        import ml_collections
        assert decode_value(stored, path="c").a == 1
    """
    lines = "\n".join(line.removeprefix("        ") for line in script.splitlines())
    command = [sys.executable, "-c", lines, json.dumps(STORED)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
