"""Keys in plain integers have the bits of `jax.random` (R2, B2)."""

import hashlib

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxlayer_core import init_rngs
from flaxlayer_core.compat.private_jax import is_threefry
from flaxlayer_core.random.threefry import fold_in, key_of_seed

WORDS = st.integers(0, 2**32 - 1)


def bits(key):
    return jax.random.key_data(key).tolist()


@jax.jit
def folded_by_jax(seed, first, second):
    key = jax.random.key(seed, impl="threefry2x32")
    return [key, jax.random.fold_in(jax.random.fold_in(key, first), second)]


@pytest.mark.law("R2")
@settings(max_examples=300, deadline=None)
@given(WORDS, WORDS, WORDS)
def test_a_key_has_the_bits_of_jax(seed, first, second):
    key, folded = folded_by_jax(*(np.uint32(number) for number in (seed, first, second)))
    ours = key_of_seed(seed)
    assert ours.dtype == key.dtype
    assert bits(ours) == bits(key)
    assert bits(fold_in(ours, first, second)) == bits(folded)


@pytest.mark.law("B2")
@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_init_keys_are_those_of_jax_for_every_implementation(implementation):
    def number(text):
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    with jax.default_prng_impl(implementation):
        rngs = init_rngs(2**32 - 5, ["params", "noise"])
        key = jax.random.key(np.uint32(2**32 - 5))
        base = jax.random.fold_in(jax.random.fold_in(key, 0), number("flaxlayer/init"))
        for name, found in rngs.items():
            expected = jax.random.fold_in(base, number(name))
            assert found.dtype == expected.dtype
            assert bits(found) == bits(expected)
        assert is_threefry(key.dtype) == (implementation == "threefry2x32")


@pytest.mark.law("B2")
def test_a_key_is_made_at_trace_time_and_beside_wide_numbers(enable_x64):
    expected = bits(jax.random.fold_in(jax.random.key(3), 7))
    found = []

    @jax.jit
    def run(x):
        with jax.ensure_compile_time_eval():
            found.append(bits(fold_in(key_of_seed(3), 7)))
        return x

    run(1.0)
    assert found == [expected]

    with enable_x64(True):
        assert bits(fold_in(key_of_seed(3), 7)) == expected
