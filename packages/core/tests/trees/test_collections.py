"""Collections and their roles; what a variable is stored as (C1, C2, C6)."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import FrozenDict, freeze, unfreeze
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxlayer_core import (
    CollectionPolicy,
    MatchVariablesError,
    Role,
    VariableLayout,
    VariableSpec,
    decide_role,
    merge_collections,
    normalize_variables,
    same_structure,
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
        "variables= is not a tree of variables.",
        "Expected: a mapping of collections, as `Module.init` returns: {'params': {...}}",
        f"Found: {type(value).__name__}",
        "Fix: Pass the whole result of `Module.init`.",
        "Law: C1",
    ]


@pytest.mark.law("C1")
def test_a_collection_that_was_never_seen_is_transient():
    assert VariableLayout.from_variables({}, {"params": Role.TRAINABLE}).role("new") == "transient"


@pytest.mark.law("C1")
def test_a_layout_names_the_collections_that_it_does_not_store():
    seen = {"params": Role.TRAINABLE, "losses": Role.TRANSIENT}
    assert VariableLayout.from_variables({"params": {}}, seen).transient == {"losses"}


@pytest.mark.law("C2")
@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("params", "trainable"),
        ("batch_stats", None),
        ("intermediates", "transient"),
        ("perturbations", "transient"),
    ],
)
def test_flax_conventions_name_roles(name, role):
    assert CollectionPolicy().role(name) == role


@pytest.mark.law("C2")
def test_a_policy_names_roles_of_its_own():
    policy = CollectionPolicy(state=("losses",), transient=("cache",))
    assert (policy.role("losses"), policy.role("cache")) == ("state", "transient")


@pytest.mark.law("C2")
def test_a_stable_collection_is_state_and_another_transient():
    assert (decide_role(stable=True), decide_role(stable=False)) == ("state", "transient")


@pytest.mark.law("C2")
def test_params_may_be_state_and_another_collection_trainable():
    policy = CollectionPolicy(trainable=("lora",), state=("params",))
    assert (policy.role("params"), policy.role("lora")) == ("state", "trainable")


@pytest.mark.law("C2")
def test_adding_transient_collections_keeps_the_rest_of_a_policy():
    policy = CollectionPolicy(trainable=("lora",), state=("params",)).with_transient("a", "a")
    assert policy == CollectionPolicy(
        trainable=("lora",), state=("params",), transient=("intermediates", "perturbations", "a")
    )


@pytest.mark.law("C2")
@pytest.mark.parametrize(
    "other",
    [
        {"a": jnp.zeros((2,), jnp.bfloat16)},
        {"a": jnp.zeros((3,))},
        {"a": jnp.zeros((1, 2))},
        {"b": jnp.zeros((2,))},
        {"a": (jnp.zeros((2,)),)},
        {"a": nn.Partitioned(jnp.zeros((2,)), ("x",))},
        {"a": jnp.zeros((2,)), "b": jnp.zeros((2,))},
        {},
    ],
)
def test_trees_differ_in_structure(other):
    assert not same_structure({"a": jnp.zeros((2,))}, other)


@pytest.mark.law("C2")
def test_a_tree_has_the_structure_of_its_abstract_self():
    tree = {"a": jnp.zeros((2,)), "key": jax.random.key(0), "box": Tagged(jnp.ones(1), "t")}
    assert same_structure(tree, jax.eval_shape(lambda: tree))


DTYPES = [
    "bfloat16",
    "float16",
    "float32",
    "complex64",
    "int8",
    "int32",
    "uint32",
    "bool",
    "float8_e4m3fn",
]


@pytest.mark.law("C6")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("abstract", [False, True], ids=["array", "abstract"])
def test_a_variable_is_described_in_the_dtype_that_the_module_gave_it(dtype, abstract):
    leaf = jnp.zeros((2, 3), dtype)
    leaf = jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if abstract else leaf
    spec = VariableSpec.from_leaf(("params", "w"), leaf)
    assert (spec.shape, spec.dtype, spec.key_impl) == ((2, 3), jnp.dtype(dtype), None)
    assert str(spec) == f"{dtype}[2,3]"


@pytest.mark.law("C6")
def test_64_bit_variables_stay_64_bit(enable_x64):
    with enable_x64(True):
        spec = VariableSpec.from_leaf(("a",), jnp.zeros(2, "float64"))
        assert spec.dtype == np.float64


@pytest.mark.law("C6")
@pytest.mark.parametrize("dtype", DTYPES)
def test_only_floating_and_complex_variables_have_a_gradient(dtype):
    spec = VariableSpec(("params", "w"), (2,), jnp.dtype(dtype))
    assert spec.differentiable == (dtype not in ("int8", "int32", "uint32", "bool"))


@pytest.mark.law("C6")
@pytest.mark.parametrize(
    ("shape", "dtype", "nbytes"),
    [
        ((), "float32", 4),
        ((3, 5), "bfloat16", 30),
        ((0, 5), "int8", 0),
        ((2**40, 2**30), "bool", 2**70),
    ],
)
def test_a_variable_takes_its_bytes(shape, dtype, nbytes):
    assert VariableSpec(("a",), shape, jnp.dtype(dtype)).nbytes == nbytes


@pytest.mark.law("C6")
@pytest.mark.parametrize(("implementation", "words"), [("threefry2x32", 2), ("rbg", 4)])
@pytest.mark.parametrize("abstract", [False, True], ids=["array", "abstract"])
def test_typed_keys_are_described_as_their_key_data(implementation, words, abstract):
    keys = jax.random.split(jax.random.key(0, impl=implementation), 3)
    leaf = jax.eval_shape(lambda: keys) if abstract else keys
    spec = VariableSpec.from_leaf(("noise", "key"), leaf)
    assert (str(spec), spec.key_impl) == (f"uint32[3,{words}]", implementation)
    assert not spec.differentiable


@pytest.mark.law("C6")
@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg"])
def test_typed_keys_are_stored_as_words_and_restored_as_keys(implementation):
    key = jax.random.key(5, impl=implementation)
    spec = VariableSpec.from_leaf(("noise", "key"), key)
    stored = spec.store(key)
    restored = jax.jit(spec.restore)(stored)
    assert stored.dtype == jnp.uint32
    assert restored.dtype == key.dtype
    assert jax.random.bits(restored) == jax.random.bits(key)


@pytest.mark.law("C6")
def test_typed_keys_do_not_depend_on_the_default_implementation():
    key = jax.random.key(5, impl="threefry2x32")
    with jax.default_prng_impl("rbg"):
        spec = VariableSpec.from_leaf(("noise", "key"), key)
        assert spec.restore(spec.store(key)) == key


@pytest.mark.law("C6")
def test_what_is_no_typed_key_is_stored_as_it_is():
    leaf = jax.random.key_data(jax.random.key(0))
    spec = VariableSpec.from_leaf(("noise", "legacy"), leaf)
    assert spec.key_impl is None
    assert spec.store(leaf) is leaf
    assert spec.restore(leaf) is leaf


@pytest.mark.law("C6")
def test_a_layout_restores_typed_keys_in_their_boxes():
    key = jax.random.key(1)
    tree = {"noise": {"key": Tagged(key, "t")}}
    layout = VariableLayout.from_variables(tree, {})
    restored = layout.unflatten([jax.random.key_data(key)])["noise"]["key"]
    assert restored.tag == "t"
    assert restored.value == key
