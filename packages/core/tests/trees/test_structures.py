"""Trees are compared by structure, shapes and dtypes (C2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core import (
    same_structure,
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
    box = nn.Partitioned(jnp.ones(1), ("t",))
    tree = {"a": jnp.zeros((2,)), "key": jax.random.key(0), "box": box}
    assert same_structure(tree, jax.eval_shape(lambda: tree))
