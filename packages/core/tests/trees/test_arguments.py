"""Call arguments: arrays travel, everything else is structure (A1, A5)."""

import enum
import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxlayer_core import (
    CallArgumentError,
    is_array,
    partition,
)
from packages.core.tests.trees.odd_values import TREES, Batch, identical


class Level(enum.IntEnum):
    ONE = 1


def structure(*args, **kwargs):
    return partition(args, kwargs)[1]


@pytest.mark.law("A1")
@settings(deadline=None)
@given(
    st.lists(TREES, max_size=3).map(tuple),
    st.dictionaries(st.sampled_from(["mask", "scale", "mode"]), TREES, max_size=2),
)
def test_merge_undoes_split(args, kwargs):
    found, rest = partition(args, kwargs)
    assert all(map(is_array, found))
    assert identical(rest.combine(found), (args, kwargs))


@pytest.mark.law("A1")
@settings(deadline=None)
@given(TREES)
def test_a_structure_equals_and_hashes_like_that_of_the_same_call(tree):
    first, again = structure(tree), structure(jax.tree_util.tree_map(lambda leaf: leaf, tree))
    assert first == again
    assert hash(first) == hash(again)


@pytest.mark.law("A1")
def test_arrays_come_in_the_order_of_the_tree_positional_first():
    one, two, three = (np.full(1, n) for n in range(3))
    found, _ = partition(({"b": two, "a": one},), {"z": three})
    assert [array.item() for array in found] == [0, 1, 2]


@pytest.mark.law("A1")
def test_merge_takes_other_arrays_in_the_places_of_the_first():
    _, rest = partition((np.ones(2), "relu", Batch(np.ones(3), 0.5)), {"mask": None})
    args, kwargs = rest.combine(["x", "tokens"])
    assert args == ("x", "relu", Batch("tokens", 0.5))
    assert kwargs == {"mask": None}


@pytest.mark.law("A1")
@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (1, 1.0),
        (1, 1 + 0j),
        (1, Level.ONE),
        (0, False),
        (0, None),
        (0.0, -0.0),
        (0j, -0j),
        ("a", b"a"),
        ("relu", "gelu"),
        (math.sqrt, math.exp),
        ((), []),
        ((1,), [1]),
        (Batch(1, kind="text"), Batch(1, kind="image")),
    ],
)
def test_arguments_that_make_different_programs_have_different_structures(left, right):
    assert structure(left) != structure(right)


@pytest.mark.law("A1")
def test_nan_is_one_static_value():
    assert structure(math.nan) == structure(float("nan"))


@pytest.mark.law("A1")
def test_a_static_value_and_an_array_have_different_structures():
    assert structure(1.0) != structure(np.float32(1.0))


@pytest.mark.law("A1")
def test_positional_and_keyword_arguments_have_different_structures():
    assert structure(1) != structure(x=1)


@pytest.mark.law("A1")
def test_the_values_and_shapes_of_arrays_are_no_part_of_the_structure():
    assert structure(np.zeros(2)) == structure(jnp.ones((3, 3)))


@pytest.mark.law("A1")
def test_a_structure_is_unequal_to_anything_else():
    assert structure() != ()


@pytest.mark.law("A1")
def test_an_argument_that_cannot_be_hashed_is_explained():
    with pytest.raises(CallArgumentError) as caught:
        partition((np.ones(2), {1, 2}, "relu"), {})
    assert str(caught.value).splitlines() == [
        "A call got an argument that is neither an array nor hashable.",
        "Expected: arrays, or hashable values (str, bool, int, float, enum, callable)",
        "Found: {1, 2}",
        "Fix: Pass arrays as arrays and settings as hashable values.",
        "Law: A1",
    ]


@pytest.mark.law("A1")
def test_a_dataclass_field_that_is_no_child_need_not_be_hashable():
    listed, again, other = (structure(Batch(np.ones(2), kind=[n])) for n in (1, 1, 2))
    assert hash(listed) == hash(again)
    assert listed == again != other


@pytest.mark.parametrize(
    ("args", "kwargs", "places"),
    [
        ((np.ones(2), np.ones(3)), {}, ["x", "y"]),
        (
            ({"a": np.ones(2), "m": "relu", "b": (np.ones(1), np.ones(1))},),
            {},
            ["x['a']", "x['b'][0]", "x['b'][1]"],
        ),
        ((None, np.ones(2)), {"k": [np.ones(1)], "flag": True}, ["y", "k[0]"]),
        (
            (types.SimpleNamespace(a=np.ones(2), n=types.SimpleNamespace(b=np.ones(1))),),
            {},
            ["x.a", "x.n.b"],
        ),
        ((), {"k": {"key": jax.random.key(0), "a": np.ones(1)}}, ["k['a']", "k['key']"]),
    ],
    ids=["plain", "nested", "None and statics", "objects", "typed key"],
)
def test_each_array_has_a_place_that_is_written_like_the_argument(args, kwargs, places):
    arrays, structure = partition(args, kwargs)
    assert structure.places(arrays, ["x", "y"]) == places
