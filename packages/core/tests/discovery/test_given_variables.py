"""Variables that the user gives: complete, partial, boxed, wrong (B4)."""

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import freeze

from flaxlayer_core import (
    CollectionPolicy,
    MatchVariablesError,
    infer_build_spec,
    init_rngs,
    initial_variables,
)

pytestmark = pytest.mark.law("B4")

X = jax.ShapeDtypeStruct((2, 3), jnp.float32)
ONES = jnp.ones((2, 3))


class Net(nn.Module):
    """Has a boxed kernel, statistics, and sows."""

    @nn.compact
    def __call__(self, x):
        kernel_init = nn.with_partitioning(nn.initializers.lecun_normal(), ("in", "out"))
        x = nn.Dense(4, kernel_init=kernel_init)(x)
        self.sow("losses", "l2", x.sum())
        return nn.BatchNorm(use_running_average=False)(x)


def raw(seed=9):
    return Net().init(jax.random.key(seed), ONES)


def built(module_call, variables, seed=1, **settings):
    asked, specs = module_call(Net(), X, given=variables, **settings)
    return initial_variables(infer_build_spec(asked, specs)[0], seed)


def stored(variables):
    return {name: tree for name, tree in nn.unbox(variables).items() if name != "losses"}


def equal(left, right):
    left, right = nn.unbox(dict(left)), nn.unbox(dict(right))
    return jax.tree_util.tree_all(jax.tree_util.tree_map(np.array_equal, left, right))


def without(variables, collection, *names):
    tree = jax.tree_util.tree_map(lambda leaf: leaf, nn.unbox(dict(variables)))
    node = tree
    for name in (collection, *names)[:-1]:
        node = node[name]
    del node[(collection, *names)[-1]]
    return tree


def test_complete_variables_are_taken_as_they_are(module_call):
    assert equal(built(module_call, raw()), stored(raw()))


def test_a_frozen_dict_is_taken_like_a_dict(module_call):
    assert equal(built(module_call, freeze(raw())), stored(raw()))


def test_unboxed_variables_of_a_part_go_into_the_boxes_of_the_module(module_call):
    given = without(raw(), "batch_stats")
    result = built(module_call, given)
    assert equal(result["params"], given["params"])
    assert result["params"]["Dense_0"]["kernel"].names == ("in", "out")


def test_complete_variables_keep_the_structure_that_they_are_given_in(module_call):
    given = {name: tree for name, tree in nn.unbox(raw()).items() if name != "losses"}
    result = built(module_call, given)
    assert jax.tree_util.tree_structure(result) == jax.tree_util.tree_structure(given)
    assert equal(result, given)


def test_a_flax_state_dict_writes_a_box_as_its_value(module_call):
    given = flax.serialization.to_state_dict(raw())
    assert set(given["params"]["Dense_0"]["kernel"]) == {"value"}
    given.pop("losses")
    assert equal(built(module_call, given), stored(raw()))


def test_sown_values_among_them_are_left_out(module_call):
    assert "losses" in raw()
    assert "losses" not in built(module_call, raw())


def test_collections_that_a_policy_calls_transient_are_left_out(module_call):
    policy = CollectionPolicy(transient=("batch_stats",))
    assert set(built(module_call, raw(), policy=policy)) == {"params"}


@pytest.mark.parametrize(
    "missing",
    [
        ("batch_stats",),
        ("params", "Dense_0"),
        ("params", "Dense_0", "bias"),
        ("batch_stats", "BatchNorm_0", "mean"),
    ],
    ids="/".join,
)
def test_what_is_missing_is_initialized_as_without_given_variables(module_call, missing):
    result = built(module_call, without(raw(), *missing))
    fresh = Net().init(init_rngs(1, ["params"]), ONES)
    expected = stored(raw())
    source, target = nn.unbox(fresh), expected
    for name in missing[:-1]:
        source, target = source[name], target[name]
    target[missing[-1]] = source[missing[-1]]
    assert equal(result, expected)


def test_no_given_variables_are_initialized_all(module_call):
    assert equal(built(module_call, {}), stored(Net().init(init_rngs(1, ["params"]), ONES)))


def test_given_arrays_keep_their_dtype(module_call):
    given = {"params": {"Dense_0": {"bias": jnp.full(4, 0.5, jnp.bfloat16)}}}
    result = built(module_call, given)["params"]["Dense_0"]["bias"]
    assert (result.dtype, result.tolist()) == (jnp.bfloat16, [0.5] * 4)


def test_the_dtype_of_a_given_array_stands_in_the_layout(examined):
    given = {"params": {"Dense_0": {"bias": np.zeros(4, np.float16)}}}
    layout = examined(Net(), X, given=given).layout
    dtypes = {"/".join(spec.path): spec.dtype.name for spec in layout.specs}
    assert dtypes["params/Dense_0/bias"] == "float16"
    assert dtypes["params/Dense_0/kernel"] == "float32"


def test_given_arrays_live_on_when_the_layers_own_are_deleted(module_call):
    given = raw()
    for leaf in jax.tree_util.tree_leaves(built(module_call, given)):
        leaf.delete()
    assert not any(leaf.is_deleted() for leaf in jax.tree_util.tree_leaves(given))


def test_a_given_variable_that_only_inference_makes_is_taken(module_call):
    class Late(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            return x if train else nn.Dense(3, name="head")(x)

    given = {"params": {"head": {"bias": jnp.full(3, 7.0)}}}
    asked, specs = module_call(Late(), X, given=given)
    result = initial_variables(infer_build_spec(asked, specs)[0], 1)
    assert result["params"]["head"]["bias"].tolist() == [7.0] * 3


def test_unknown_paths_and_wrong_shapes_are_listed_all(module_call):
    given = {
        "params": {"Dense_0": {"kernel": jnp.ones((4, 3)), "b": jnp.ones(4)}},
        "cache": {"n": jnp.ones(())},
    }
    asked, specs = module_call(Net(), X, given=given)
    with pytest.raises(MatchVariablesError) as caught:
        infer_build_spec(asked, specs)
    failed, expected, found, fix, law = str(caught.value).splitlines()
    assert failed == "Layer 'it' (module Net) does not take the given variables."
    assert "params/Dense_0/kernel [3,4]" in expected
    assert "missing: batch_stats/BatchNorm_0/mean [4], " in expected
    assert "params/Dense_0/bias [4]" in expected
    assert found == (
        "Found: cache/n: unknown; params/Dense_0/b: unknown; params/Dense_0/kernel: shape [4,3]"
    )
    assert fix == "Fix: Give the tree that `Module.init` returns for this module, or a part of it."
    assert law == "Law: B4"
