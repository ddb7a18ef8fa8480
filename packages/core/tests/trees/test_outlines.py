"""Forms of trees that are filled with something else (A5)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import outline_outputs, wrap_statics
from flaxlayer_core.trees.outlines import exchange_leaves
from packages.core.tests.trees.odd_values import SEEN, Hides, Looks, Point, looking_outputs


@pytest.mark.law("A5")
def test_a_form_is_filled_with_anything_and_no_constructor_sees_it():
    SEEN.clear()
    wrapped = jax.eval_shape(lambda x: wrap_statics(looking_outputs(x)), np.ones(2))
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
