"""Values that JAX has no tree for travel as trees of arrays, and come back (A1, A5)."""

import collections
import dataclasses
import types
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from flaxlayer_core import KeyData, has_parts, is_array, partition, take_apart
from flaxlayer_core.trees.parts import put_together
from packages.core.tests.trees.odd_values import Strict


@dataclasses.dataclass
class Fields:
    x: Any
    y: Any = None


@dataclasses.dataclass(frozen=True)
class Setting:
    name: str


class Named(dict):
    def __init__(self, must, **items):
        super().__init__(**items)
        self.must = must


VALUES = {
    "dataclass": lambda: Fields(np.arange(2), "text"),
    "nested": lambda: {"a": [Fields(Fields(np.arange(2)))], "b": None},
    "mapping": lambda: Named("q", x=np.arange(2)),
    "ordered": lambda: collections.OrderedDict(b=np.arange(2), a=np.arange(3)),
    "mixed_keys": lambda: {1: np.arange(2), "a": np.arange(3)},
    "namespace": lambda: types.SimpleNamespace(x=np.arange(2)),
    "key": lambda: (jax.random.key(3), jax.random.split(jax.random.key(1), 2)),
    "registered": lambda: Strict(jax.random.key(3)),
}


def _leaves(value):
    if isinstance(value, dict):
        return [leaf for item in (*value.values(), *vars_of(value)) for leaf in _leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    if hasattr(value, "__dict__") and not is_array(value):
        return [leaf for item in vars(value).values() for leaf in _leaves(item)]
    return [value]


def vars_of(value):
    return vars(value).values() if hasattr(value, "__dict__") else ()


@pytest.mark.law("A1")
@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_a_value_comes_back_as_a_new_one_of_the_same_parts(make):
    value = make()
    taken = take_apart(value)
    for leaf in jax.tree.leaves(taken):
        assert not is_array(leaf) or isinstance(leaf.dtype, np.dtype)
    again = put_together(taken)
    assert type(again) is type(value)
    for left, right in zip(_leaves(again), _leaves(value), strict=True):
        assert type(left) is type(right)
        if is_array(right) and jnp.issubdtype(right.dtype, jax.dtypes.prng_key):
            left, right = jax.random.key_data(left), jax.random.key_data(right)
        np.testing.assert_array_equal(left, right)


@pytest.mark.law("A1")
def test_what_needs_nothing_stays_the_very_object():
    for value in ({"a": [np.ones(2), None, "text"]}, Strict(np.ones(2)), Setting("a"), nn.Dense(2)):
        assert take_apart(value) is value
        assert not has_parts(value)


@pytest.mark.law("A1")
def test_equal_forms_have_equal_structures_whatever_the_values():
    for make in (*VALUES.values(), lambda: nnx.Rngs(0, noise=np.random.randint(9))):
        first, second = partition((make(),), {})[1], partition((make(),), {})[1]
        assert first == second
        assert hash(first) == hash(second)
    assert (
        partition((Fields(np.ones(2), "a"),), {})[1]
        != (partition((Fields(np.ones(2), "b"),), {})[1])
    )


@pytest.mark.law("A1")
def test_keys_and_objects_whose_arrays_are_placeholders_stay_apart():
    taken = take_apart((jax.random.key(0), nnx.Rngs(0)))
    leaves, treedef = jax.tree.flatten(taken)
    again = put_together(jax.tree.unflatten(treedef, [object() for _ in leaves]))
    assert isinstance(again[0], KeyData)
    assert jax.tree.structure(again[0]) == jax.tree.structure(take_apart(jax.random.key(0)))


@pytest.mark.law("A1")
def test_numbers_of_python_move_between_the_statics_and_the_arrays():
    args = (np.ones(2), 0.5, True, {"a": 2j, "b": 3})
    arrays, structure = partition(args, {})
    traced, moved = structure.trace_numbers(arrays)
    assert traced[1:] == [0.5, 2j]
    assert moved.number_positions() == (1, 2)
    assert moved == structure.trace_numbers(arrays)[1]
    assert moved == partition(args, {}, trace_numbers=True)[1]
    assert moved == partition((args[0], 0.75, *args[2:]), {}, trace_numbers=True)[1]
    assert moved != partition((args[0], 2j, *args[2:]), {}, trace_numbers=True)[1]
    assert moved.combine(traced)[0][1:] == args[1:]
    fixed, again = moved.fix_numbers(traced)
    assert again == structure
    assert len(fixed) == 1
