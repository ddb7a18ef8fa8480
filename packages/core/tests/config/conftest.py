"""Shared by the tests of configurations: the trip through JSON, and a structural equality."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from types import FunctionType

import jax
import numpy as np
import pytest

from flaxlayer_core.config import (
    decode_module,
    decode_value,
    encode_module,
    encode_value,
    object_codecs,
    world,
)


def trip(module):
    return decode_module(json.loads(json.dumps(encode_module(module), allow_nan=False)))


def trip_value(value):
    stored = json.loads(json.dumps(encode_value(value, path="value"), allow_nan=False))
    return decode_value(stored, path="value")


def same(left, right):
    """Equal in type, structure and content; functions by their code and what they captured."""
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if dataclasses.is_dataclass(left) and not isinstance(left, type):
        names = [f.name for f in dataclasses.fields(left) if f.init and f.name != "parent"]
        return all(same(getattr(left, name), getattr(right, name)) for name in names)
    if isinstance(left, FunctionType):
        cells = [[c.cell_contents for c in f.__closure__ or ()] for f in (left, right)]
        return (
            left.__code__ is right.__code__
            and same(*cells)
            and same(left.__defaults__, right.__defaults__)
        )
    if isinstance(left, functools.partial):
        return same((left.func, left.args, left.keywords), (right.func, right.args, right.keywords))
    if isinstance(left, Mapping):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, (tuple, list)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, (np.ndarray, np.generic, jax.Array)):
        ours, theirs = np.asarray(left), np.asarray(right)
        weak = getattr(left, "weak_type", None) == getattr(right, "weak_type", None)
        return weak and (ours.dtype, ours.shape, ours.tobytes()) == (
            theirs.dtype,
            theirs.shape,
            theirs.tobytes(),
        )
    if isinstance(left, (float, complex)):
        return repr(left) == repr(right)  # tells -0.0 from 0.0, and nan is nan
    return left == right


@pytest.fixture(name="trip", scope="session")
def _trip():
    return trip


@pytest.fixture(name="trip_value", scope="session")
def _trip_value():
    return trip_value


@pytest.fixture(name="same", scope="session")
def _same():
    return same


@pytest.fixture
def own_world(monkeypatch):
    """Nothing is known but what the test itself makes known."""
    monkeypatch.setattr(world, "_registered", {})
    monkeypatch.setattr(world, "_remembered", {})
    monkeypatch.setattr(object_codecs, "_codecs", {})
