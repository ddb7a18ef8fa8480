"""Forms of trees that are filled with something else (A5)."""

import collections
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import outline_outputs, wrap_statics
from flaxlayer_core.trees.outlines import exchange_leaves

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
def test_a_form_is_filled_with_anything_and_no_constructor_sees_it():
    SEEN.clear()
    wrapped = jax.eval_shape(lambda x: wrap_statics(_outputs(x)), np.ones(2))
    outline = outline_outputs(wrapped)
    assert SEEN
    assert all(SEEN)
    filled = outline.fill(["x", "y", "z", "q"])
    assert type(filled["a"]) is Looks
    assert (filled["a"].x, filled["a"].y) == ("x", ["y", "text"])
    assert filled["b"] == ("z", None, 3, Point("q", "p"))
    assert outline.fill([1, 2, 3, 4])["a"].x == 1
    assert filled["a"].x == "x"


@pytest.mark.law("A5")
def test_an_array_that_stands_twice_is_filled_twice():
    outline = outline_outputs(wrap_statics(Point(*[jnp.ones(2)] * 2)))
    assert outline.fill([1, 2]) == Point(1, 2)


@pytest.mark.law("A5")
def test_a_class_that_hides_its_parts_is_made_of_what_fills_it():
    outline = outline_outputs(wrap_statics(Hides(jnp.ones(2))))
    assert outline.fill(["tensor"]).x == "tensor"


@pytest.mark.law("A5")
def test_leaves_are_exchanged_in_place():
    old = [jnp.zeros(()), jnp.zeros(())]
    again = exchange_leaves([Looks(old[0], (old[1],))], old, ["a", "b"])
    assert (again[0].x, again[0].y) == ("a", ("b",))
    assert exchange_leaves([Hides(old[0])], old[:1], ["a"]) is None
