"""Keys of calls and of init, against key data that raw `jax.random` gave, written down here.

A literal of a call is `fold_in(fold_in(key(seed), draws), number)`, one of init is
`fold_in(fold_in(fold_in(key(seed), 0), 0xF930BA4D), number)`, where a number is the first four
bytes of a name's SHA-256: `dropout` 0x1B4C0A29, `params` 0xA20B52FA, `flaxlayer/init` 0xF930BA4D.
"""

import jax
import numpy as np
import pytest

from flaxlayer_testing.errors import DeriveKeyError
from flaxlayer_testing.oracle.keys import call_keys, init_keys, seed_at, stream_key

LAST = 2**32 - 1

# Threefry's two words. The implementation `rbg` folds each half of a key by threefry, so that its
# four words are these, twice.
CALLS = [
    ((0, 0), (0xF7170940, 0x84EAAB8D), (0x11D1734D, 0xD202F111)),
    ((7, 0), (0xCFA7BC55, 0xF5BC08D1), (0xC69DE9A1, 0xA88CE69D)),
    ((7, 3), (0xF9C92D24, 0x5A34027C), (0xE4B3C364, 0xB1034C5D)),
    ((LAST, LAST), (0x82ADC837, 0x65AF581D), (0x0461FD61, 0x0C846196)),
]
INITS = [
    (0, (0xD2DB2F4F, 0xCC46FB48), (0x65D516B4, 0xAE170FD2)),
    (7, (0x6BF6C36B, 0xFDBA9C0D), (0x4E2FF2AF, 0xE8A0836E)),
    (LAST, (0xC5893951, 0x08034850), (0xCB85702E, 0xE4ADD206)),
]


def bits(keys):
    return {name: tuple(jax.random.key_data(key).tolist()) for name, key in keys.items()}


@pytest.fixture(params=["threefry2x32", "rbg"])
def times(request):
    """How often threefry's words stand in a key of the implementation."""
    with jax.default_prng_impl(request.param):
        yield 1 if request.param == "threefry2x32" else 2


@pytest.fixture(params=[False, True], ids=["x32", "x64"])
def x64(request):
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", request.param)
    yield request.param
    jax.config.update("jax_enable_x64", before)


@pytest.mark.law("R2")
@pytest.mark.parametrize(("drawn", "dropout", "params"), CALLS, ids=["0-0", "7-0", "7-3", "last"])
def test_keys_of_a_call_are_those_of_raw_jax(drawn, dropout, params, times, x64):
    found = bits(call_keys(*drawn, ["params", "dropout"]))
    assert found == {"dropout": dropout * times, "params": params * times}


@pytest.mark.law("R3")
@pytest.mark.parametrize(("seed", "dropout", "params"), INITS, ids=["0", "7", "last"])
def test_keys_of_init_are_those_of_raw_jax(seed, dropout, params, times, x64):
    found = bits(init_keys(seed, ["params", "dropout"]))
    assert found == {"dropout": dropout * times, "params": params * times}


@pytest.mark.law("R3")
def test_another_implementation_has_its_own_words():
    with jax.default_prng_impl("unsafe_rbg"):
        found = bits(call_keys(7, 3, ["dropout"])), bits(init_keys(7, ["params"]))
    assert found == (
        {"dropout": (0x25ECE94A, 0x426A91DF, 0x49609881, 0x923A27B0)},
        {"params": (0xAF36C042, 0x2EBA9660, 0x74E77843, 0x26566AF7)},
    )


@pytest.mark.law("R2")
def test_a_stream_of_any_name_has_a_key():
    # "bruit é" in UTF-8: 0x630B740B
    expected = jax.random.fold_in(jax.random.fold_in(jax.random.key(7), 3), 0x630B740B)
    assert bits(call_keys(7, 3, ["bruit é"])) == bits({"bruit é": expected})


@pytest.mark.law("R2")
@pytest.mark.parametrize("dtype", [np.uint32, np.int64])
def test_a_state_is_read_as_each_backend_keeps_it(dtype):
    state = np.array([LAST, LAST], dtype)
    assert bits({"": stream_key(state, "dropout")}) == {"": CALLS[-1][1]}


@pytest.mark.law("R2")
def test_the_count_of_draws_wraps_and_the_seed_stays():
    assert seed_at(7, 2**32 + 3).tolist() == [7, 3]
    assert seed_at(np.int64(LAST), 1).tolist() == [LAST, 1]


@pytest.mark.law("R3")
@pytest.mark.parametrize("seed", [-1, 2**32])
def test_what_does_not_fit_32_bits_is_no_seed(seed):
    with pytest.raises(DeriveKeyError, match=str(seed)):
        seed_at(seed, 0)
