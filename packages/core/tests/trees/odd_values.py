"""What tests of trees share: classes that look at what they are made of, trees of any values."""

import collections
import dataclasses
import enum
import math
from typing import Any

import flax.struct
import jax
import numpy as np
from hypothesis import strategies as st

from flaxlayer_core import is_array

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


def looking_outputs(x):
    return {"a": Looks(x, [x + 1, "text"]), "b": (x, None, 3, Point(x, "p")), "k": 0.5}


class Strict:
    """A registered class whose constructor takes arrays only."""

    def __init__(self, x):
        assert isinstance(x, jax.Array | np.ndarray), type(x)
        self.x = x


jax.tree_util.register_pytree_node(
    Strict, lambda value: ((value.x,), None), lambda aux, children: Strict(*children)
)


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


ARRAYS = st.builds(lambda n: np.zeros(n), st.integers(0, 2))


STATICS = st.sampled_from([None, True, 1, 0.0, -0.0, math.nan, "relu", Color.RED, math.sqrt, 2j])


TREES = st.recursive(
    ARRAYS | STATICS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.builds(Batch, inner, inner, st.sampled_from(["text", "image"])),
    ),
    max_leaves=8,
)
