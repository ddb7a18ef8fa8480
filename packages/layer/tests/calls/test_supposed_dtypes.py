"""Dtypes that are supposed in a build from shapes, and put right by a call (A10)."""

import flax.linen as nn
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import BuildModuleError

# A float32 has no place for 2**24 + 1.
TOKENS = np.array([[2**24 + 1, 5, 6], [1, 2, 3]], np.int32)
VALUES = {
    "int32": TOKENS,
    "complex64": (TOKENS * 1j).astype(np.complex64),
    "float16": TOKENS[1:].astype(np.float16),
    "bool": TOKENS > 4,
    "uint8": TOKENS[1:].astype(np.uint8),
    "float32": TOKENS[1:].astype(np.float32),
}


def same(found, expected):
    found = np.asarray(found)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.law("A10")
def test_a_build_from_a_shape_supposes_tokens_where_floats_do_not_do():
    layer = FlaxLayer(nn.Embed(10, 4))
    assert layer.compute_output_shape((None, 3)) == (None, 3, 4)
    layer = FlaxLayer(nn.Embed(10, 4))
    layer.build((None, 3))
    table = layer.weights[0]
    same(layer(TOKENS[1:]), np.asarray(table)[TOKENS[1:]])
    assert layer.weights[0] is table


class Typed(nn.Module):
    """Its weight has the dtype of its input."""

    @nn.compact
    def __call__(self, x):
        return x * self.param("scale", nn.initializers.ones, (3,), x.dtype)


@pytest.mark.law("A10")
def test_the_first_call_replaces_weights_that_were_supposed_of_another_dtype():
    layer = FlaxLayer(Typed())
    layer.build((None, 3))
    assert [str(variable.dtype) for variable in layer.weights] == ["float32"]
    value = VALUES["complex64"]
    same(layer(value), value)
    assert [str(variable.dtype) for variable in layer.weights] == ["complex64"]
    assert len(layer.trainable_variables) == 1


@pytest.mark.law("A10")
def test_given_values_outlive_a_wrong_guess():
    scale = np.array([2, 3, 4], np.complex64)
    layer = FlaxLayer(Typed(), variables={"params": {"scale": jnp.asarray(scale)}})
    value = VALUES["complex64"]
    same(layer(value), value * scale)


@pytest.mark.law("A10")
def test_what_is_wrong_with_a_shape_is_an_error_whatever_the_dtype():
    class Matrix(nn.Module):
        @nn.compact
        def __call__(self, x):
            _, features = x.shape
            return nn.Dense(features)(x)

    for build in (FlaxLayer(Matrix()).build, keras.Sequential([FlaxLayer(Matrix())]).build):
        with pytest.raises(BuildModuleError, match=r"float32\[\?,3,3\]"):
            build((None, 3, 3))


@pytest.mark.law("A10")
def test_floats_for_tokens_are_still_an_error_in_the_call():
    layer = FlaxLayer(nn.Embed(10, 4))
    layer.build((None, 3))
    with pytest.raises(BuildModuleError, match="must be an integer"):
        layer(np.ones((2, 3), np.float32))
    same(layer(TOKENS[1:]), np.asarray(layer.weights[0])[TOKENS[1:]])
