"""Collections and their roles; what a variable is stored as (C1, C2, C6)."""

import flax.linen as nn
import flax.struct
import jax
import numpy as np
import pytest
from flax.core import FrozenDict, freeze, unfreeze
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxlayer_core import (
    MatchVariablesError,
    Role,
    VariableLayout,
    merge_collections,
    normalize_variables,
    split_collections,
)


@flax.struct.dataclass
class Tagged(nn.meta.AxisMetadata):
    """A box that the project knows nothing about."""

    value: object
    tag: str = flax.struct.field(pytree_node=False, default="")

    def unbox(self):
        return self.value

    def replace_boxed(self, value):
        return self.replace(value=value)

    def add_axis(self, index, params):
        return self

    def remove_axis(self, index, params):
        return self


arrays = st.integers(0, 3).map(lambda n: np.zeros(n, np.float32))
boxes = st.one_of(
    st.builds(nn.Partitioned, arrays, st.just(("x",))),
    st.builds(nn.LogicallyPartitioned, arrays, st.just(("y",))),
    st.builds(Tagged, arrays, st.sampled_from("ab")),
)
nodes = st.recursive(
    st.dictionaries(st.sampled_from("abc"), arrays | boxes, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), arrays | boxes | inner, max_size=3),
    max_leaves=6,
)
collections = st.one_of(nodes, st.lists(arrays, max_size=2).map(lambda sown: {"l": tuple(sown)}))
names = st.sampled_from(["params", "batch_stats", "cache", "losses"])
trees = st.dictionaries(names, collections, max_size=4)
variables = st.one_of(
    trees,
    trees.map(freeze),
    trees.map(lambda tree: {name: freeze(part) for name, part in tree.items()}),
)
roles = st.fixed_dictionaries({}, optional={n: st.sampled_from(Role) for n in names.elements})


def only_dicts(tree):
    return not isinstance(tree, FrozenDict) and (
        not isinstance(tree, dict) or all(map(only_dicts, tree.values()))
    )


def same_objects(left, right):
    """The same tree around the very same arrays."""
    left_leaves, left_def = jax.tree_util.tree_flatten(left)
    right_leaves, right_def = jax.tree_util.tree_flatten(right)
    return left_def == right_def and all(map(lambda a, b: a is b, left_leaves, right_leaves))


@pytest.mark.law("C1")
@settings(deadline=None)
@given(variables, roles)
def test_merge_undoes_split(tree, roles):
    parts = split_collections(normalize_variables(tree), roles)
    assert same_objects(merge_collections(parts), unfreeze(tree))


@pytest.mark.law("C1")
@settings(deadline=None)
@given(variables, roles)
def test_each_collection_is_in_the_part_of_its_one_role(tree, roles):
    parts = split_collections(normalize_variables(tree), roles)
    assert sorted(name for part in parts.values() for name in part) == sorted(tree)
    assert set(parts) == set(Role)
    for role, part in parts.items():
        assert all(roles.get(name, "transient") == role for name in part)


@pytest.mark.law("C1")
@settings(deadline=None)
@given(variables)
def test_normalized_variables_are_plain_dicts_all_the_way_down(tree):
    assert only_dicts(normalize_variables(tree))


@pytest.mark.law("C1")
@settings(deadline=None)
@given(trees, roles)
def test_a_layout_puts_its_values_back_into_their_tree(tree, roles):
    layout = VariableLayout.from_variables(tree, roles)
    assert same_objects(layout.unflatten(jax.tree_util.tree_leaves(tree)), tree)


@pytest.mark.law("C1")
@settings(deadline=None)
@given(trees)
def test_each_variable_has_a_path_of_its_own(tree):
    layout = VariableLayout.from_variables(tree, {})
    assert len(set(layout.paths)) == len(jax.tree_util.tree_leaves(tree))


@pytest.mark.law("C1")
def test_normalizing_leaves_what_was_given_alone():
    inner = freeze({"kernel": np.ones(1)})
    tree = {"params": inner}
    normalize_variables(tree)["params"]["bias"] = 1
    assert tree["params"] is inner
    assert set(inner) == {"kernel"}


@pytest.mark.law("C1")
@pytest.mark.parametrize("value", [None, [1], np.ones(2), "params"])
def test_what_is_no_tree_of_variables_is_explained(value):
    with pytest.raises(MatchVariablesError) as caught:
        normalize_variables(value, title="variables=")
    assert str(caught.value).splitlines() == [
        "variables=: what was given is no tree of variables.",
        "Expected: a mapping of collections, as `Module.init` returns: {'params': {...}}",
        f"Found: {type(value).__name__}",
        "Fix: Pass the whole result of `Module.init`; flaxlayer.read_variables reads a file.",
        "Law: C1",
    ]
