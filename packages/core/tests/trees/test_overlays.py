"""One tree laid over another keeps boxes, adds what is missing and tells the rest (B4)."""

import flax.linen as nn
import pytest

from flaxlayer_core import (
    fill_missing,
    replace_leaves,
)
from flaxlayer_core.trees.overlays import subtract_tree

pytestmark = pytest.mark.law("B4")


def test_overriding_keeps_boxes_and_the_tree_that_was_given():
    tree = {"params": {"a": nn.Partitioned(1, ("x",)), "b": 2}}
    result = replace_leaves(tree, {("params", "a"): 3})
    assert result == {"params": {"a": nn.Partitioned(3, ("x",)), "b": 2}}
    assert tree["params"]["a"].value == 1


def test_merging_keeps_what_is_there_and_adds_what_is_missing():
    left, right = {"a": {"x": 1}, "b": 2}, {"a": {"x": 3, "y": 4}, "b": {"z": 5}, "c": {"w": 6}}
    assert fill_missing(left, right) == {"a": {"x": 1, "y": 4}, "b": 2, "c": {"w": 6}}
    assert left == {"a": {"x": 1}, "b": 2}


def test_the_difference_of_trees_is_what_only_the_first_has():
    tree = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert subtract_tree(tree, {"a": {"b": 0}}) == {"a": {"c": {"d": 2}}, "e": 3}
    assert subtract_tree(tree, tree) == {}
