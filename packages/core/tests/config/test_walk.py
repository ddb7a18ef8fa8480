"""Every kind of value comes back as what it was, and what was one object is one (S1)."""

import collections
import dataclasses
import enum
import json
import typing

import flax
import flax.linen as nn
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from flax.core import FrozenDict
from hypothesis import given, settings

from flaxlayer_core.config import decode_value, encode_value


class Colour(enum.Enum):
    RED = 1
    ALIAS = 1
    BLUE = "blue"


class Pair(typing.NamedTuple):
    left: object
    right: object = 2


@dataclasses.dataclass(frozen=True)
class Options:
    size: int
    rest: object = dataclasses.field(default_factory=list)
    made: int = dataclasses.field(init=False, default=7)


@flax.struct.dataclass
class State:
    count: int
    label: str = flax.struct.field(pytree_node=False, default="a")


DTYPES = [
    jnp.float32,
    np.float32,
    np.dtype("float32"),
    "float32",
    jnp.bfloat16,
    ml_dtypes.bfloat16,
    float,
    np.int8,
]


def short_range(start, length, step):
    return range(start, start + length * step, step)


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**64, max_value=2**4000),
    st.floats(),
    st.complex_numbers(allow_nan=True),
    st.text(),
    st.binary(),
    st.sampled_from(
        [*DTYPES, *Colour, ..., nn.relu, jnp.tanh, nn.Dense, jax.lax.Precision.HIGH, nn.broadcast]
    ),
    st.builds(slice, st.none() | st.integers(), st.integers(), st.none() | st.integers(1, 5)),
    st.builds(short_range, st.integers(), st.integers(-5, 50), st.integers(1, 5)),
)
keys = st.one_of(
    st.text(), st.integers(), st.booleans(), st.none(), st.tuples(st.integers(), st.text())
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(st.text(), inner, max_size=3).map(FrozenDict),
        st.dictionaries(keys, inner, max_size=3).map(collections.OrderedDict),
        st.builds(Pair, inner, inner),
        st.builds(Options, st.integers(), inner),
        st.builds(State, st.integers()),
        st.builds(lambda a: nn.Sequential([a]), inner),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(value=values)
def test_any_value_comes_back_the_same(same, value):
    from_json = json.loads(json.dumps(encode_value(value, path="value"), allow_nan=False))
    assert same(decode_value(from_json, path="value"), value)


@settings(deadline=None)
@given(st.sets(keys), st.frozensets(st.frozensets(st.integers())))
def test_sets_come_back_equal_and_of_their_type(loose, frozen):
    for value in (loose, frozen):
        restored = decode_value(encode_value(value, path="value"), path="value")
        assert restored == value
        assert type(restored) is type(value)


def test_a_set_is_stored_in_one_order():
    texts = [json.dumps(encode_value(s, path="s")) for s in ({"a", "b", "c"}, {"c", "b", "a"})]
    assert texts[0] == texts[1]


def test_an_order_of_keys_is_kept_whatever_sorts_the_json():
    stored = json.loads(json.dumps(encode_value({"b": 1, "a": 2}, path="value"), sort_keys=True))
    assert list(decode_value(stored, path="value")) == ["b", "a"]


class Tied(nn.Module):
    first: nn.Module
    second: object


def test_one_module_at_two_places_stays_one_object(trip):
    shared = nn.Dense(3)
    again = trip(Tied(shared, {"inner": [nn.Sequential([shared]), shared]}))
    assert again.second["inner"][0].layers[0] is again.first
    assert again.second["inner"][1] is again.first


def test_two_equal_modules_stay_two_objects(trip):
    again = trip(Tied(nn.Dense(3), nn.Dense(3)))
    assert again.first == again.second
    assert again.first is not again.second


def test_tied_modules_in_a_set_stay_one_object(trip):
    shared = nn.Dense(3)
    again = trip(Tied({nn.Sequential((shared,)), shared}, shared))
    assert any(item is again.second for item in again.first)


def test_tied_modules_make_tied_variables(trip):
    shared = nn.Dense(3)
    model = nn.Sequential([shared, nn.relu, shared])
    variables = trip(model).init(jax.random.key(0), jnp.ones((1, 3)))
    assert list(variables["params"]) == ["layers_0"]
