"""Arrays, dtypes and sharding specs come back as they were (S1)."""

import math

import flax.linen as nn
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from flaxlayer_core import DecodeModuleError
from flaxlayer_core.config import (
    decode_value,
    encode_value,
    world,
)


def test_a_sharding_spec_in_a_field_is_kept(trip):
    class Sharded(nn.Module):
        spec: PartitionSpec

    spec = PartitionSpec("data", None, ("x", "y"), PartitionSpec.UNCONSTRAINED)
    assert trip(Sharded(spec)).spec == spec


@pytest.fixture(autouse=True)
def _own_world(monkeypatch):
    monkeypatch.setattr(world, "_registered", {})
    monkeypatch.setattr(world, "_remembered", {})


DTYPES = [
    jnp.float32,
    np.float32,
    np.dtype("float32"),
    "float32",
    jnp.bfloat16,
    ml_dtypes.bfloat16,
    float,
    np.int8,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=repr)
def test_the_forms_of_a_dtype_are_kept_apart(dtype, trip_value):
    assert trip_value(dtype) is dtype or type(trip_value(dtype)) is type(dtype) is not type
    assert trip_value(dtype) == dtype


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros((0, 3), np.float32),
        np.array(True),
        np.array([1, math.nan, -0.0]),
        np.array([1.5, -2], ml_dtypes.bfloat16),
        np.array([1, -3], ml_dtypes.int4),
        np.float32(1.5),
        np.bool_(True),
        np.complex64(1 + 2j),
        jnp.arange(3),
        jnp.ones((2, 2), jnp.bfloat16),
        jnp.array(2.5),
        jnp.asarray(2.5),
        jnp.asarray(3),
    ],
    ids=lambda a: f"{type(a).__name__}-{a.dtype}-{a.shape}",
)
def test_an_array_comes_back_bit_by_bit_and_of_its_kind(array, trip_value, same):
    assert same(trip_value(array), array)


def test_an_array_that_came_back_can_be_written_to(trip_value):
    trip_value(np.zeros(3))[0] = 1


def test_an_array_that_x64_made_is_refused_without_it(trip_value, enable_x64):
    with enable_x64(True):
        stored = encode_value(jnp.ones(2, jnp.float64), path="value")
        assert decode_value(stored, path="value").dtype == jnp.float64
    with pytest.raises(DecodeModuleError, match="jax_enable_x64"):
        decode_value(stored, path="value")
