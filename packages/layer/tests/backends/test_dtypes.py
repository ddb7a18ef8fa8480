"""Dtypes of inputs are those that JAX takes them with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer.backends.dtypes import canonical_dtype, number_spec


@pytest.mark.parametrize(
    ("wide", "narrow"), [("float64", "float32"), ("int64", "int32"), ("complex128", "complex64")]
)
def test_64_bits_are_those_of_jax_with_x64_and_without(wide, narrow, enable_x64):
    assert canonical_dtype(wide) == canonical_dtype(np.dtype(wide)) == narrow
    with enable_x64(True):
        assert canonical_dtype(wide) == wide


def test_keys_and_short_floats_stay_what_they_are():
    typed = jax.random.key(0).dtype
    assert canonical_dtype(typed) is typed
    assert canonical_dtype(jnp.bfloat16) == "bfloat16"


@pytest.mark.parametrize("number", [1.5, 2j])
def test_a_number_of_python_is_described_as_jit_takes_it(number):
    spec = number_spec(number)
    traced = jax.make_jaxpr(lambda x: x)(number).in_avals[0]
    assert (spec.shape, spec.dtype, spec.weak) == (traced.shape, traced.dtype, traced.weak_type)
