"""The JAX backend takes arrays of JAX and NumPy as they are, and tells a trace from values."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from jax import export

from flaxlayer.backends.jax import JaxBackend

pytestmark = pytest.mark.jax_only("of the JAX backend")

BACKEND = JaxBackend()


def test_a_trace_is_seen():
    seen = []
    jax.jit(lambda x: seen.append(BACKEND.is_outermost()) or x)(1.0)
    assert seen == [False]
    assert BACKEND.is_outermost()


def test_only_arrays_with_values_have_values():
    seen = []
    jax.jit(lambda x: seen.append(BACKEND.has_values([x])) or x)(1.0)
    assert seen == [False]
    assert BACKEND.has_values([jnp.ones(2), np.ones(2)])
    assert not BACKEND.has_values([jnp.ones(2), keras.KerasTensor((2,))])
    assert not BACKEND.has_values([jax.ShapeDtypeStruct((2,), "float32")])


def test_symbols_are_unknown_sizes():
    (size,) = export.symbolic_shape("size")
    spec = BACKEND.describe(jax.ShapeDtypeStruct((size, 3), np.float64))
    assert (spec.shape, spec.dtype) == ((None, 3), "float32")


def test_what_is_kept_of_a_variable_on_the_host_is_its_array():
    variable = keras.Variable(np.ones(3, "float32"))
    kept = BACKEND.keep(variable)
    variable.assign(np.zeros(3, "float32"))
    np.testing.assert_array_equal(kept, np.ones(3))


def test_a_name_of_a_variable_is_the_escaped_part_of_its_path():
    assert BACKEND.variable_name("kernel") == "kernel"
    assert "/" not in BACKEND.variable_name("a/b")
