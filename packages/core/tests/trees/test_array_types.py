"""What counts as an array among arguments (A1)."""

import dataclasses
import enum
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from flaxlayer_core import (
    is_array,
)


class Color(enum.Enum):
    RED = 1


@pytest.mark.law("A1")
@pytest.mark.parametrize(
    "value",
    [np.ones(1), np.float32(1), jnp.ones(1), jax.ShapeDtypeStruct((1,), "int32")],
    ids=lambda value: type(value).__name__,
)
def test_what_has_a_shape_and_a_dtype_is_an_array(value):
    assert is_array(value)


@pytest.mark.law("A1")
def test_a_traced_value_is_an_array():
    seen = []
    jax.eval_shape(lambda x: seen.append(is_array(x)), 1.0)
    assert seen == [True]


@pytest.mark.law("A1")
def test_a_typed_key_is_an_array():
    assert is_array(jax.random.key(0))


@pytest.mark.law("A1")
@pytest.mark.parametrize(
    "value", [1, 1.0, True, None, "x", np.float32, np.dtype("int8"), Color.RED]
)
def test_numbers_names_and_dtypes_are_no_arrays(value):
    assert not is_array(value)


@dataclasses.dataclass(frozen=True)
class Setting:
    name: str


@pytest.mark.law("A1")
@pytest.mark.parametrize(
    "value",
    [
        nnx.Rngs(0),
        Setting("shape"),
        types.SimpleNamespace(shape=(2,), dtype=np.dtype("float32")),
        jnp.float32,
        np.float32,
        np.dtype("float32"),
        0.5,
        np.array(["a"]),
        np.array([None]),
        np.datetime64("2020-01-01"),
    ],
    ids=repr,
)
def test_what_has_a_shape_and_a_dtype_need_not_be_an_array(value):
    assert not is_array(value)


@pytest.mark.law("A1")
@pytest.mark.parametrize(
    "value",
    [np.float64(1), np.bool_(True), np.float16(1)],
    ids=repr,
)
def test_numbers_of_numpy_are_arrays(value):
    assert is_array(value)
    assert is_array(jnp.zeros((), jnp.bfloat16))
    assert is_array(np.asarray(jnp.zeros((), jnp.bfloat16)))
    assert is_array(jax.ShapeDtypeStruct((), np.float32))
