"""Paths of variables, as text (C1, W1)."""

import flax.linen as nn
import flax.struct
import jax
import numpy as np
import pytest
from flax.core import freeze
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxlayer_core import escape_part, flatten_with_paths, format_path, parse_path

parts = st.text(alphabet="ab/%25F *", max_size=6)
paths = st.lists(parts, min_size=1, max_size=4).map(tuple)


@flax.struct.dataclass
class Pair(nn.meta.AxisMetadata):
    """A box around two arrays."""

    left: object
    right: object

    def unbox(self):
        return self

    def replace_boxed(self, value):
        return value

    def add_axis(self, index, params):
        return self

    def remove_axis(self, index, params):
        return self


@pytest.mark.law("W1")
@settings(deadline=None)
@given(paths)
def test_parse_undoes_format(path):
    assert parse_path(format_path(path)) == path


@pytest.mark.law("W1")
def test_a_path_is_written_with_slashes():
    assert (
        format_path(("params", "encoder", "Dense_0", "kernel")) == "params/encoder/Dense_0/kernel"
    )


@pytest.mark.law("W1")
@pytest.mark.parametrize(("part", "text"), [("a/b", "a%2Fb"), ("50%", "50%25"), ("%2F", "%252F")])
def test_what_separates_parts_is_percent_encoded(part, text):
    assert escape_part(part) == text


@pytest.mark.law("C1")
@pytest.mark.parametrize(
    "leaf",
    [
        np.ones(2),
        nn.Partitioned(np.ones(2), ("x",)),
        nn.LogicallyPartitioned(np.ones(2), ("x",)),
        nn.Partitioned(nn.LogicallyPartitioned(np.ones(2), ("x",)), ("y",)),
    ],
    ids=["plain", "partitioned", "logical", "nested"],
)
def test_a_box_adds_nothing_to_the_path_of_its_array(leaf):
    pairs, _ = flatten_with_paths({"params": {"kernel": leaf}})
    assert [path for path, _ in pairs] == [("params", "kernel")]


@pytest.mark.law("C1")
def test_the_arrays_of_a_box_with_several_have_a_path_each():
    pairs, _ = flatten_with_paths({"params": {"w": Pair(np.zeros(1), np.ones(1))}})
    assert [path for path, _ in pairs] == [("params", "w", "left"), ("params", "w", "right")]


@pytest.mark.law("C1")
def test_an_entry_of_a_tuple_is_named_by_its_index():
    pairs, _ = flatten_with_paths({"losses": {"l2": (np.zeros(1), np.ones(1))}})
    assert [path for path, _ in pairs] == [("losses", "l2", "0"), ("losses", "l2", "1")]


@pytest.mark.law("C1")
def test_arrays_come_in_the_order_of_the_structure_boxes_included():
    tree = {"b": nn.Partitioned(1, ("x",)), "a": {"z": 2, "y": Pair(3, 4)}, "c": None, "d": {}}
    pairs, treedef = flatten_with_paths(tree)
    assert [leaf for _, leaf in pairs] == jax.tree_util.tree_leaves(tree)
    assert jax.tree_util.tree_unflatten(treedef, [leaf for _, leaf in pairs]) == tree


@pytest.mark.law("C1")
def test_a_frozen_dict_has_the_paths_of_a_dict():
    tree = {"params": {"b": {"kernel": 1}, "a": 2}}
    assert flatten_with_paths(freeze(tree))[0] == flatten_with_paths(tree)[0]


@pytest.mark.law("C1")
def test_an_empty_tree_has_no_paths():
    assert flatten_with_paths({"params": {}})[0] == []
