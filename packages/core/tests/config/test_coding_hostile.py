"""Hostile configurations: refused, without importing, executing, or allocating (S2, S3)."""

import base64
import builtins
import contextlib
import importlib
import json
import sys
import tracemalloc

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer_core import DecodeModuleError
from flaxlayer_core.config import decode_module, decode_value, encode_module
from packages.core.tests.config.hostile_names import NAMES


def wrap(root):
    return {"$type": "flaxlayer.module", "version": 1, "root": root}


def dense(*fields, cls="flax.linen:Dense"):
    return {"$type": "module", "class": cls, "fields": [["features", 3], *map(list, fields)]}


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def doubling(depth):
    """A few kilobytes that stand for 2**depth modules."""
    node = {
        "$type": "module",
        "class": "flax.linen:Sequential",
        "fields": [["layers", []]],
        "id": 0,
    }
    for number in range(1, depth):
        layers = [node, {"$type": "ref", "id": number - 1}]
        node = {
            "$type": "module",
            "class": "flax.linen:Sequential",
            "fields": [["layers", layers]],
            "id": number,
        }
    return node


B64 = base64.b64encode(bytes(8)).decode()
HOSTILE = {
    "function": {"$type": "function", "name": "os:system"},
    "class as function": {"$type": "function", "name": "flax.linen:Dense"},
    "function as class": dense(cls="flax.linen:relu"),
    "not a module class": dense(cls="jax.lax:Precision"),
    "abstract module": dense(cls="flax.linen:Module"),
    "class of a class": dense(cls={"$type": "class", "name": "numpy:float32"}),
    "class as list": dense(cls=["flax.linen:Dense"]),
    "partial of the unknown": {
        "$type": "partial",
        "tree": False,
        "func": {"$type": "function", "name": "os:system"},
        "args": ["id"],
        "keywords": [],
    },
    "partial of a number": {
        "$type": "partial",
        "tree": False,
        "func": 3,
        "args": [],
        "keywords": [],
    },
    "dunder method": {"$type": "method", "class": "flax.linen:Dense", "name": "__init__"},
    "private method": {
        "$type": "method",
        "class": "flax.linen:Dense",
        "name": "_call_wrapped_method",
    },
    "inherited method": {"$type": "method", "class": "flax.linen:Dense", "name": "apply"},
    "dunder member": {"$type": "enum", "class": "jax.lax:Precision", "member": "__class__"},
    "mro member": {"$type": "enum", "class": "jax.lax:Precision", "member": "mro"},
    "parent given": dense(["parent", None]),
    "dunder field": dense(["__class__", 1]),
    "self field": dense(["self", 1]),
    "field twice": dense(["features", 4]),
    "field not a name": dense([3, 4]),
    "fields not pairs": {"$type": "module", "class": "flax.linen:Dense", "fields": [["features"]]},
    "fields as object": {"$type": "module", "class": "flax.linen:Dense", "fields": {"features": 3}},
    "no fields": {"$type": "module", "class": "flax.linen:Dense"},
    "other keys": dense() | {"command": "id"},
    "unknown type": {"$type": "pickle", "data": B64},
    "type of a type": {"$type": ["module"]},
    "no type": {"class_name": "Dense", "config": {}},
    "unknown reference": dense(["name", {"$type": "ref", "id": 0}]),
    "own reference": dense(["name", {"$type": "ref", "id": 0}]) | {"id": 0},
    "boolean reference": [dense() | {"id": 1}, {"$type": "ref", "id": True}],
    "reference twice": [dense() | {"id": 1}, dense() | {"id": 1}],
    "reference with more": [dense() | {"id": 1}, {"$type": "ref", "id": 1, "x": 2}],
    "shared leaf": {"$type": "tuple", "items": [], "id": 1},
    "unhashable key": {"$type": "dict", "items": [[[], 1]]},
    "unhashable module key": {"$type": "dict", "items": [[dense(["name", []]), 1]]},
    "key twice": {"$type": "dict", "items": [["a", 1], ["a", 2]]},
    "unhashable item": {"$type": "set", "items": [[]]},
    "huge shape": {
        "$type": "array",
        "form": "numpy",
        "dtype": "float32",
        "shape": [1 << 30, 1 << 30],
        "data": "",
    },
    "negative shape": {
        "$type": "array",
        "form": "numpy",
        "dtype": "float32",
        "shape": [-1],
        "data": B64,
    },
    "zero and huge shape": {
        "$type": "array",
        "form": "jax",
        "dtype": "int8",
        "shape": [0, 1 << 60],
        "data": "",
    },
    "many dimensions": {
        "$type": "array",
        "form": "jax",
        "dtype": "int8",
        "shape": [1] * 99,
        "data": "AA==",
    },
    "boolean dimension": {
        "$type": "array",
        "form": "numpy",
        "dtype": "float32",
        "shape": [True, 2],
        "data": B64,
    },
    "object dtype": {
        "$type": "array",
        "form": "numpy",
        "dtype": "object",
        "shape": [1],
        "data": B64,
    },
    "dtype expression": {"$type": "dtype", "name": "f4,O"},
    "unknown form": {
        "$type": "array",
        "form": "memmap",
        "dtype": "float32",
        "shape": [2],
        "data": B64,
    },
    "scalar of many": {
        "$type": "array",
        "form": "numpy_scalar",
        "dtype": "float32",
        "shape": [2],
        "data": B64,
    },
    "no base64": {"$type": "bytes", "data": "%%%%"},
    "base64 of another alphabet": {"$type": "bytes", "data": "ä==="},
    "bytes of a number": {"$type": "bytes", "data": 3},
    "int text": {"$type": "int", "hex": "1_0 + 1"},
    "huge int": {"$type": "int", "hex": "0x" + "f" * 100_000},
    "huge plain int": 10**10_000,
    "float text": {"$type": "float", "value": "1e999"},
    "raw nan": float("nan"),
    "complex of text": {"$type": "complex", "real": "1", "imag": 1.0},
    "range of floats": {"$type": "range", "start": 0.5, "stop": 1, "step": 1},
    "range without step": {"$type": "range", "start": 0, "stop": 1, "step": 0},
    "unknown constant": {"$type": "constant", "name": "builtins:__debug__"},
    "unknown factory": {
        "$type": "closure",
        "factory": "jax.nn.initializers:zeros",
        "arguments": [],
    },
    "factory arguments": {
        "$type": "closure",
        "factory": "jax.nn.initializers:normal",
        "arguments": [["key", 1]],
    },
    "spec of no list": {"$type": "partition_spec", "items": "data"},
    "endless arguments": {
        "$type": "closure",
        "factory": "jax.checkpoint_policies:save_only_these_names",
        "arguments": [
            [
                "names_which_can_be_saved",
                {"$type": "range", "start": 0, "stop": 1 << 60, "step": 1},
            ]
        ],
    },
    "unknown transform": {
        "$type": "lifted",
        "transform": "eval",
        "class": "flax.linen:Dense",
        "methods": [],
    },
    "transformed dunder": {
        "$type": "lifted",
        "transform": "vmap",
        "class": "flax.linen:Dense",
        "methods": [["__class__", []]],
    },
    "transform arguments": {
        "$type": "lifted",
        "transform": "vmap",
        "class": "flax.linen:Dense",
        "methods": [["__call__", [["command", 1]]]],
    },
    "transformed function": {
        "$type": "lifted",
        "transform": "jit",
        "class": "flax.linen:relu",
        "methods": [],
    },
    "deep": nested(5_000),
    "wide": [0] * 200_000,
    "doubling": doubling(40),
    "long text": "a" * (2 << 20),
    "key no text": {1: 2},
    "tuple": (1, 2),
    "object": object(),
}
HOSTILE |= {f"class named {name!r}": dense(cls=name) for name in NAMES}
HOSTILE |= {f"function named {name!r}": {"$type": "function", "name": name} for name in NAMES}
HOSTILE |= {f"value class named {name!r}": {"$type": "class", "name": name} for name in NAMES}
_events = []
_watching = []


@sys.addaudithook
def _record(event, arguments):
    # An audit hook cannot be removed, so it sleeps outside of `watched`.
    if _watching and event in (
        "import",
        "exec",
        "compile",
        "open",
        "os.system",
        "subprocess.Popen",
    ):
        _events.append((event, arguments))


@contextlib.contextmanager
def watched(monkeypatch):
    """Fails where flaxlayer imports, or anything imports anew, opens a file, or runs code."""
    real_import, known = builtins.__import__, set(sys.modules)

    def importing(name, importer=None, *rest, **keywords):
        # JAX's own functions import their neighbours when called; those are imported already.
        if (importer or {}).get("__name__", "").startswith("flaxlayer") or name not in known:
            _events.append(("__import__", name))
        return real_import(name, importer, *rest, **keywords)

    _events.clear()
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", importing)
        patch.setattr(
            importlib, "import_module", lambda name, *_: _events.append(("import_module", name))
        )
        _watching.append(True)
        yield
        _watching.clear()
    assert _events == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_configuration_is_refused(name):
    with pytest.raises(DecodeModuleError) as caught:
        decode_module(wrap(dense(["name", HOSTILE[name]])))
    assert caught.value.law in ("S2", "S3")
    assert len(str(caught.value)) < 2_000
    with pytest.raises(DecodeModuleError):
        decode_value(HOSTILE[name], path="argument")


def test_a_configuration_that_holds_itself_is_refused():
    loop = dense()
    loop["fields"].append(["name", loop])
    with pytest.raises(DecodeModuleError, match="nested levels"):
        decode_module(wrap(loop))
    wide = []
    wide.extend([wide, wide, wide])
    with pytest.raises(DecodeModuleError, match=r"nested levels|values"):
        decode_value(wide, path="value")


def test_loading_imports_nothing(monkeypatch):
    class Net(nn.Module):
        parts: object

    net = Net(
        [nn.Dense(3), nn.relu, nn.remat(nn.Dense)(2), nn.initializers.he_normal(), np.ones(2)]
    )
    stored = json.loads(json.dumps(encode_module(net)))
    with watched(monkeypatch):
        loaded = decode_module(stored)
    assert isinstance(loaded, Net)


def test_the_watch_sees_an_import_and_an_evaluation(monkeypatch):
    for code in ("import this_is_not_there", "1 + 1"):
        quiet = contextlib.suppress(ImportError)
        with pytest.raises(AssertionError), watched(monkeypatch), quiet:
            exec(code)


@pytest.mark.parametrize("name", NAMES)
def test_refusing_imports_nothing(name, monkeypatch):
    for node in (
        dense(cls=name),
        {"$type": "function", "name": name},
        {"$type": "class", "name": name},
    ):
        with watched(monkeypatch), contextlib.suppress(DecodeModuleError):
            decode_value(node, path="value")


def test_a_huge_shape_allocates_nothing():
    node = HOSTILE["huge shape"] | {"shape": [1 << 14, 1 << 14]}  # of 1 GiB, which could be had
    tracemalloc.start()
    with pytest.raises(DecodeModuleError):
        decode_value(node, path="value")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20  # what the process keeps may grow meanwhile by some MiB
