"""The record of the inputs in a weights file (S3, W4)."""

import json

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import DecodeModuleError, FlaxLayerError, MatchWeightsFileError

# Keras says so of any subclassed model within another, of its own layers too.
pytestmark = pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer")

FLOATS = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)


@pytest.mark.law("S3")
@pytest.mark.parametrize(
    ("record", "error"),
    [
        (b"{", DecodeModuleError),
        (b"[" * 100_000, DecodeModuleError),
        (b"[1]", DecodeModuleError),
        (b'{"arguments": 1, "arrays": []}', DecodeModuleError),
        (b'{"arguments": {"$type": "function", "name": "os:system"}}', DecodeModuleError),
        (b"null", MatchWeightsFileError),
    ],
)
def test_a_bad_record_of_the_inputs_is_refused(record, error):
    layer, store = FlaxLayer(nn.Dense(2)), {}
    layer(FLOATS)
    layer.save_own_variables(store)
    store["%inputs"] = np.frombuffer(record, np.uint8)
    fresh = FlaxLayer(nn.Dense(2))
    with pytest.raises(error):
        fresh.load_own_variables(store)
    assert not fresh.built


@pytest.mark.law("S3")
def test_a_record_of_more_values_than_inputs_have_is_not_parsed(monkeypatch):
    store = {}
    FlaxLayer(nn.Dense(2)).save_own_variables(store)
    store["%inputs"] = np.frombuffer(b'{"arguments": [' + b"0," * (1 << 20) + b"0]}", np.uint8)
    monkeypatch.setattr(json, "loads", lambda text: pytest.fail("it was parsed"))
    with pytest.raises(DecodeModuleError, match=r"1,048,5\d\d values"):
        FlaxLayer(nn.Dense(2)).load_own_variables(store)


@pytest.mark.law("S3")
@pytest.mark.parametrize(
    ("record", "found"),
    [
        (np.full((1 << 24) + 1, ord(" "), np.uint8), r"uint8\[16777217\]"),
        (np.full((2, 2), ord("1"), np.uint8), r"uint8\[2, 2\]"),
        (np.full(4, ord("1"), np.int8), r"int8\[4\]"),
        (np.full(4, 1.0), r"float64\[4\]"),
        ({}, "it is a dict, not an array"),
    ],
    ids=["long", "table", "signed", "floats", "none"],
)
def test_a_record_that_is_no_short_text_is_not_read(record, found):
    store = {}
    FlaxLayer(nn.Dense(2)).save_own_variables(store)
    store["%inputs"] = record
    with pytest.raises(DecodeModuleError, match=f"%inputs (is|cannot be read:) {found}"):
        FlaxLayer(nn.Dense(2)).load_own_variables(store)


@pytest.mark.law("S3")
def test_inputs_that_no_machine_holds_are_refused_before_anything_is_allocated():
    layer, store = FlaxLayer(nn.Dense(2)), {}
    layer(FLOATS)
    layer.save_own_variables(store)
    record = json.loads(store["%inputs"].tobytes())
    record["arrays"] = [[[2**30, 2**30], "float32"]]
    store["%inputs"] = np.frombuffer(json.dumps(record).encode(), np.uint8)
    fresh = FlaxLayer(nn.Dense(2))
    with pytest.raises(FlaxLayerError, match="too much memory"):
        fresh.load_own_variables(store)
