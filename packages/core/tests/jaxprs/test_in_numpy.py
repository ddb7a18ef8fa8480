"""Single operations in NumPy have the bits of compiled ones, or are left to JAX (B2)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core.jaxprs.in_numpy import run_in_numpy

pytestmark = pytest.mark.law("B2")

FLOATS = np.random.default_rng(0).uniform(0.1, 5, (2, 4, 3)).astype(np.float32)
WORDS = np.random.default_rng(1).integers(0, 2**32, (2, 4, 3), dtype=np.uint32)


def run(function, *args):
    [equation] = jax.make_jaxpr(function)(*args).jaxpr.eqns
    return run_in_numpy(equation, args)


def same_bits(found, wanted):
    wanted = np.asarray(wanted)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("name", ["add", "div", "mul", "sub"])
def test_floats_have_the_bits_of_the_compiled_operation(name):
    function = getattr(jax.lax, name)
    same_bits(run(function, *FLOATS), jax.jit(function)(*FLOATS))


def test_roots_have_the_bits_of_the_compiled_operation():
    same_bits(run(jax.lax.sqrt, FLOATS), jax.jit(jax.lax.sqrt)(FLOATS))


@pytest.mark.parametrize("name", ["add", "mul", "sub"])
@pytest.mark.parametrize("dtype", ["uint32", "int32", "uint8"])
def test_integers_wrap_around_as_compiled_ones(name, dtype):
    function, words = getattr(jax.lax, name), WORDS.astype(dtype)
    same_bits(run(function, *words), jax.jit(function)(*words))


def test_arrays_of_one_number_and_other_shapes_are_made():
    same_bits(
        run(lambda x: jax.lax.broadcast_in_dim(x, (2, 3), ()), np.float32(7)),
        np.full((2, 3), 7, "f4"),
    )
    same_bits(run(lambda x: jax.lax.reshape(x, (6, 4)), FLOATS), FLOATS.reshape(6, 4))


SUBNORMAL = np.full(3, 1e-40, np.float32)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (jnp.sin, (FLOATS[0],)),
        (jax.lax.mul, (SUBNORMAL, np.ones(3, np.float32))),
        (jax.lax.mul, (np.full(3, 1e-30, np.float32), np.full(3, 1e-10, np.float32))),
        (jax.lax.div, (np.arange(3), np.arange(1, 4))),
        (jax.lax.mul, (FLOATS[0].astype(jnp.bfloat16), FLOATS[1].astype(jnp.bfloat16))),
        (lambda x: jax.lax.broadcast_in_dim(x, (2, 3), (1,)), (np.ones(3, np.float32),)),
        (jax.lax.mul, (np.ones(2, np.complex64), np.ones(2, np.complex64))),
    ],
    ids=["sin", "subnormal", "underflow", "division", "bfloat16", "broadcast", "complex"],
)
def test_what_numpy_may_give_other_bits_for_is_left_to_jax(function, args):
    assert run(function, *args) is None


lax = jax.lax
SPECIAL = np.array([0.0, -0.0, 1.5, -3.25, 1e30, np.inf, -np.inf, np.nan], np.float32)
WHOLE = np.array([0, 1, 2**31, 2**32 - 1], np.uint32)


def run_one(function, *inputs):
    (equation,) = jax.make_jaxpr(function)(*inputs).jaxpr.eqns
    return run_in_numpy(equation, inputs)


def test_the_smallest_normal_number_is_none_of_them():
    tiny = np.finfo(np.float32).tiny
    assert run_one(lax.mul, np.float32(tiny), np.float32(-1)) == -tiny


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lax.add, (jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.bfloat16))),
        (lax.div, (WHOLE, WHOLE + 1)),
        (lax.exp, (SPECIAL,)),
        (lambda x: lax.broadcast_in_dim(x, (2, 8), (1,)), (SPECIAL,)),
        (lambda x: lax.convert_element_type(x, jnp.int32), (SPECIAL,)),
        (lambda key: jax.random.wrap_key_data(key), (np.zeros(2, np.uint32),)),
    ],
    ids=["half", "integer division", "transcendental", "broadcast", "conversion", "key"],
)
def test_what_numpy_cannot_be_relied_on_for_is_left_to_jax(function, inputs):
    assert run_one(function, *inputs) is None


def test_a_divisor_that_is_broadcast_is_left_to_jax():
    # XLA multiplies by its reciprocal, which rounds otherwise.
    (equation,) = jax.make_jaxpr(lax.div)(SPECIAL, SPECIAL).jaxpr.eqns
    assert run_in_numpy(equation, (SPECIAL, np.float32(3))) is None


def test_inputs_of_another_dtype_than_the_result_are_left_to_jax():
    (equation,) = jax.make_jaxpr(lax.add)(SPECIAL, SPECIAL).jaxpr.eqns
    assert run_in_numpy(equation, (SPECIAL, SPECIAL.astype(np.float64))) is None
