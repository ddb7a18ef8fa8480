"""A tree out of a file holds names and arrays of numbers, or it is told where it does not."""

import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer.saving.checkpoints.array_trees import MAX_DEPTH, find_odd_leaf

pytestmark = pytest.mark.law("S6")


def nested(depth):
    tree = 1.0
    for _ in range(depth):
        tree = {"a": tree}
    return tree


GOOD = {
    "arrays": {"a": np.ones(2), "b": {"c": jnp.ones(1, jnp.bfloat16)}},
    "numbers": {"a": [1, 2.0, 3j, True, None]},
    "keys that are indices": {0: np.ones(1), 1: np.ones(1)},
    "nothing": {},
    "as deep as may be": nested(MAX_DEPTH),
}
ODD = {
    "text": ({"a": {"b": "x"}}, "'a/b': str"),
    "an array of text": ({"a": np.array(["x"])}, "'a': an array of"),
    "an array of objects": ({"a": [np.array([None])]}, "'a/0': an array of object"),
    "mixed keys": ({"a": {0: 1.0, "b": 1.0}}, "'a': keys that are no names"),
    "keys of bytes": ({b"a": 1.0}, "'': keys that are no names"),
    "too deep": (nested(MAX_DEPTH + 1), "nested too deep"),
}


@pytest.mark.parametrize("name", GOOD)
def test_names_and_numbers_are_found_good(name):
    assert find_odd_leaf(GOOD[name]) == ""


@pytest.mark.parametrize("name", ODD)
def test_the_first_odd_part_is_named(name):
    tree, said = ODD[name]
    assert said in find_odd_leaf(tree)


def test_the_first_of_several_is_named_in_the_order_of_the_tree():
    assert find_odd_leaf({"a": {"b": "x"}, "c": "y"}).startswith("'a/b'")


def test_a_long_path_does_not_stand_whole_in_the_words():
    assert len(find_odd_leaf({"a" * 10_000: "x"})) < 300
