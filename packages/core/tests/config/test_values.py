"""Every kind of value comes back as what it was, down to its type (S1)."""

import collections
import dataclasses
import enum
import json
import math
import typing

import flax
import flax.linen as nn
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax.core import FrozenDict
from hypothesis import given, settings

from flaxlayer_core import DecodeModuleError, EncodeModuleError
from flaxlayer_core.config import decode_value, encode_value

# Since JAX 0.4.36.
ALGORITHMS = (
    [jax.lax.DotAlgorithmPreset.F16_F16_F32] if hasattr(jax.lax, "DotAlgorithmPreset") else []
)


class Colour(enum.Enum):
    RED = 1
    ALIAS = 1
    BLUE = "blue"


class Bits(enum.Flag):
    A = 1
    B = 2


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


@pytest.mark.parametrize(
    "number", [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, complex(-0.0, math.nan)]
)
def test_a_float_keeps_its_sign_and_its_infinity(number, trip_value, same):
    assert same(trip_value(number), number)


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**1000, True, 0])
def test_an_integer_of_any_size_is_exact(number, trip_value):
    assert trip_value(number) == number
    assert type(trip_value(number)) is type(number)


@pytest.mark.parametrize("dtype", DTYPES, ids=repr)
def test_the_forms_of_a_dtype_are_kept_apart(dtype, trip_value):
    assert trip_value(dtype) is dtype or type(trip_value(dtype)) is type(dtype) is not type
    assert trip_value(dtype) == dtype


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros((0, 3), np.float32),
        np.array(True),
        np.array([1, math.nan, -0.0]),
        np.array([1.5, -2], ml_dtypes.bfloat16),
        np.array([1, -3], ml_dtypes.int4),
        np.float32(1.5),
        np.bool_(True),
        np.complex64(1 + 2j),
        jnp.arange(3),
        jnp.ones((2, 2), jnp.bfloat16),
        jnp.array(2.5),
        jnp.asarray(2.5),
        jnp.asarray(3),
    ],
    ids=lambda a: f"{type(a).__name__}-{a.dtype}-{a.shape}",
)
def test_an_array_comes_back_bit_by_bit_and_of_its_kind(array, trip_value, same):
    assert same(trip_value(array), array)


def test_an_array_that_came_back_can_be_written_to(trip_value):
    trip_value(np.zeros(3))[0] = 1


def test_an_array_that_x64_made_is_refused_without_it(trip_value, enable_x64):
    with enable_x64(True):
        stored = encode_value(jnp.ones(2, jnp.float64), path="value")
        assert decode_value(stored, path="value").dtype == jnp.float64
    with pytest.raises(DecodeModuleError, match="jax_enable_x64"):
        decode_value(stored, path="value")


@pytest.mark.parametrize(
    "value", [*Colour, Pair(1, (2,)), Options(3, {"a": [None]}), State(2), nn.DenyList("a")]
)
def test_members_and_records_come_back_equal(value, trip_value):
    assert trip_value(value) == value


@pytest.mark.parametrize(
    "value",
    [
        jax.lax.ConvDimensionNumbers((0, 1), (2, 3), (4, 5)),
        *ALGORITHMS,
        jax.lax.GatherScatterMode.CLIP,
        (((1,), (0,)), ((), ())),
    ],
    ids=repr,
)
def test_the_constants_of_jax_lax_come_back_equal(value, trip_value):
    assert trip_value(value) == value


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


def test_a_combined_flag_is_refused():
    with pytest.raises(EncodeModuleError, match="Hold its members in a tuple"):
        encode_value(Bits.A | Bits.B, path="flags")
