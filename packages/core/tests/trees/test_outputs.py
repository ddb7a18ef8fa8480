"""Outputs pass through transformations sealed; their classes see what the module gave (A5)."""

import collections
import dataclasses
import enum
import math
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxlayer_core import (
    has_sealed,
    is_array,
    unwrap_statics,
    wrap_statics,
)

SEEN = []
KEPT = {}


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass
class Looks:
    x: Any
    y: Any

    def __post_init__(self):
        SEEN.append(isinstance(self.x, jax.Array))
        assert isinstance(self.x, jax.Array)

    def tree_flatten(self):
        return (self.x, self.y), None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)


class Hides:
    """Holds nothing of what it is made of where it can be found."""

    __slots__ = ()

    def __init__(self, x):
        KEPT[id(self)] = x

    @property
    def x(self):
        return KEPT[id(self)]


jax.tree_util.register_pytree_node(
    Hides, lambda value: ((value.x,), None), lambda aux, children: Hides(*children)
)

Point = collections.namedtuple("Point", "x y")


def _outputs(x):
    return {"a": Looks(x, [x + 1, "text"]), "b": (x, None, 3, Point(x, "p")), "k": 0.5}


@pytest.mark.law("A5")
def test_outputs_come_back_from_a_jitted_function_and_from_abstract_evaluation():
    wrapped = jax.jit(lambda x: wrap_statics(_outputs(x)))(np.ones(2))
    assert has_sealed(wrapped)
    result = unwrap_statics(wrapped)
    assert type(result["a"]) is Looks
    assert result["a"].y[1] == "text"
    assert result["b"][1:3] == (None, 3)
    assert type(result["b"][3]) is Point
    assert result["b"][3].y == "p"
    assert result["k"] == 0.5
    np.testing.assert_array_equal(result["a"].y[0], [2, 2])


@pytest.mark.law("A5")
def test_wrapping_twice_is_wrapping_once():
    wrapped = wrap_statics(_outputs(jnp.ones(2)))
    assert jax.tree.structure(wrap_statics(wrapped)) == jax.tree.structure(wrapped)


class Color(enum.Enum):
    RED = 1


@flax.struct.dataclass
class Batch:
    tokens: object
    weight: object = None
    kind: object = flax.struct.field(pytree_node=False, default="text")


def identical(left, right):
    """Same types and structure, the very same arrays, equal statics."""
    if is_array(left) or left is None:
        return left is right
    if type(left) is not type(right):
        return False
    if isinstance(left, Batch):
        return all(
            identical(getattr(left, name), getattr(right, name))
            for name in ("tokens", "weight", "kind")
        )
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(identical(left[k], right[k]) for k in left)
    if isinstance(left, (tuple, list)):
        return len(left) == len(right) and all(map(identical, left, right))
    return repr(left) == repr(right)


arrays = st.builds(lambda n: np.zeros(n), st.integers(0, 2))
statics = st.sampled_from([None, True, 1, 0.0, -0.0, math.nan, "relu", Color.RED, math.sqrt, 2j])
trees = st.recursive(
    arrays | statics,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.builds(Batch, inner, inner, st.sampled_from(["text", "image"])),
    ),
    max_leaves=8,
)


@pytest.mark.law("A5")
@settings(deadline=None)
@given(trees)
def test_unwrap_undoes_wrap(tree):
    assert identical(unwrap_statics(wrap_statics(tree)), tree)


@pytest.mark.law("A5")
def test_outputs_that_are_no_arrays_come_through_a_compiled_function():
    def run(x):
        return wrap_statics({"x": x, "name": "relu", "n": 3, "none": None})

    outputs = unwrap_statics(jax.jit(run)(jnp.ones(2)))
    assert {name: outputs[name] for name in ("name", "n", "none")} == {
        "name": "relu",
        "n": 3,
        "none": None,
    }
    assert outputs["x"].tolist() == [1, 1]
