"""Random keys: one seed a call, one key a stream (R2, R3)."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxlayer_core import init_rngs, next_seed, stream_rngs

IMPLEMENTATIONS = ("threefry2x32", "rbg")
SEED = np.array([7, 3], np.uint32)


def bits(key):
    return np.asarray(jax.random.key_data(key)).tolist()


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request):
    with jax.default_prng_impl(request.param):
        yield request.param


@pytest.mark.law("R3")
def test_keys_are_of_the_default_implementation(implementation):
    keys = [stream_rngs(SEED, ["noise"])["noise"], init_rngs(7, ["noise"])["noise"]]
    assert [key.dtype for key in keys] == [jax.random.key(0, impl=implementation).dtype] * 2


@pytest.mark.law("R2")
@settings(deadline=None, max_examples=30)
@given(st.sets(st.text(max_size=8), max_size=4), st.text(max_size=8))
def test_the_key_of_a_stream_does_not_depend_on_the_streams_beside_it(others, name):
    alone = stream_rngs(SEED, [name])
    beside = stream_rngs(SEED, [*sorted(others), name])
    assert bits(alone[name]) == bits(beside[name])


@pytest.mark.law("R2")
def test_an_init_key_does_not_depend_on_the_streams_beside_it(implementation):
    alone = init_rngs(7, ["params"])
    assert bits(alone["params"]) == bits(init_rngs(7, ["dropout", "params"])["params"])


@pytest.mark.law("R2")
def test_streams_have_different_keys(implementation):
    rngs = stream_rngs(SEED, ["dropout", "noise", "params"])
    assert len({tuple(bits(key)) for key in rngs.values()}) == 3


@pytest.mark.law("R2")
def test_both_halves_of_the_seed_move_a_key(implementation):
    seeds = ([7, 3], [8, 3], [7, 4], [3, 7])
    keys = {tuple(bits(stream_rngs(np.array(s, np.uint32), ["a"])["a"])) for s in seeds}
    assert len(keys) == len(seeds)


@pytest.mark.law("R2")
def test_keys_of_init_differ_from_those_of_the_first_calls(implementation):
    calls = [bits(stream_rngs(np.array([7, n], np.uint32), ["params"])["params"]) for n in range(8)]
    assert bits(init_rngs(7, ["params"])["params"]) not in calls


@pytest.mark.law("R3")
def test_the_seed_of_a_layer_moves_its_init_keys(implementation):
    assert bits(init_rngs(7, ["params"])["params"]) != bits(init_rngs(8, ["params"])["params"])


@pytest.mark.law("R3")
def test_the_same_seed_gives_the_same_keys(implementation):
    assert bits(init_rngs(7, ["params"])["params"]) == bits(init_rngs(7, ["params"])["params"])
    assert bits(stream_rngs(SEED, ["a"])["a"]) == bits(stream_rngs(SEED.copy(), ["a"])["a"])


@pytest.mark.law("R3")
def test_a_traced_seed_gives_the_keys_of_an_eager_one(implementation):
    traced = jax.jit(lambda seed: stream_rngs(seed, ["dropout", "noise"]))(SEED)
    eager = stream_rngs(SEED, ["dropout", "noise"])
    assert {name: bits(key) for name, key in traced.items()} == {
        name: bits(key) for name, key in eager.items()
    }


@pytest.mark.law("R3")
def test_the_largest_seed_is_a_seed(implementation):
    assert bits(init_rngs(2**32 - 1, ["a"])["a"]) != bits(init_rngs(0, ["a"])["a"])


@pytest.mark.law("R3")
def test_keys_stay_the_same_from_one_release_to_the_next():
    # The documented derivation, written out: a saved seed must replay in any later version.
    with jax.default_prng_impl("threefry2x32"):
        tag = int.from_bytes(hashlib.sha256(b"dropout").digest()[:4], "big")
        expected = jax.random.fold_in(jax.random.fold_in(jax.random.key(7), 3), tag)
        assert bits(stream_rngs(SEED, ["dropout"])["dropout"]) == bits(expected)


@pytest.mark.law("R2")
def test_no_streams_need_no_keys():
    assert stream_rngs(SEED, []) == {}


@pytest.mark.law("R2")
def test_the_next_seed_counts_calls_and_keeps_the_seed():
    following = next_seed(jnp.array([7, 3], jnp.uint32))
    assert (following.tolist(), following.dtype) == ([7, 4], jnp.uint32)


@pytest.mark.law("R2")
def test_the_count_of_calls_wraps_without_moving_the_seed():
    assert next_seed(jnp.array([7, 2**32 - 1], jnp.uint32)).tolist() == [7, 0]
