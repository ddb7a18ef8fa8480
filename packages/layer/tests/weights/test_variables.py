"""Variables keep the module's dtype (C6)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import StoreDtypeError

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class Holds(nn.Module):
    dtype: str

    @nn.compact
    def __call__(self, x):
        self.param("p", lambda key: jnp.ones((2,), self.dtype))
        self.variable("s", "v", lambda: jnp.ones((2,), self.dtype))
        return x


@pytest.mark.law("C6")
@pytest.mark.parametrize(
    ("dtype", "trained"),
    [
        ("bfloat16", True),
        ("float16", True),
        ("float32", True),
        ("complex64", True),
        ("int32", False),
        ("uint8", False),
        ("bool", False),
    ],
)
def test_a_variable_is_stored_in_the_dtype_of_the_module(dtype, trained):
    layer = FlaxLayer(Holds(dtype))
    layer(X)
    variable = layer.params["params"]["p"]
    assert variable.dtype == dtype
    assert variable.trainable is trained
    assert layer.state["s"]["v"].dtype == dtype
    assert layer.flax_variables()["s"]["v"].dtype == jnp.dtype(dtype)


@pytest.mark.law("C6")
def test_float64_is_kept_under_x64(enable_x64):
    with enable_x64(True):
        layer = FlaxLayer(Holds("float64"))
        layer(X)
        assert layer.params["params"]["p"].dtype == "float64"


@pytest.mark.law("C6")
@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_typed_keys_are_stored_as_their_key_data(impl):
    class Keeps(nn.Module):
        @nn.compact
        def __call__(self, x):
            key = self.variable("keys", "k", lambda: jax.random.key(3, impl=impl))
            key.value = jax.random.split(key.value)[0]
            return x

    layer = FlaxLayer(Keeps())
    layer(X)
    assert layer.state["keys"]["k"].dtype == "uint32"
    expected = jax.random.split(jax.random.split(jax.random.key(3, impl=impl))[0])[0]
    actual = layer.flax_variables()["keys"]["k"]
    assert actual.dtype == expected.dtype
    layer.load_flax_variables({"keys": {"k": expected}})


@pytest.mark.law("C6")
def test_integer_params_do_not_keep_a_model_from_training():
    class Table(nn.Module):
        @nn.compact
        def __call__(self, x):
            order = self.param("order", lambda key: jnp.array([3, 2, 1, 0]))
            return nn.Dense(2)(x[:, order])

    model = keras.Sequential([FlaxLayer(Table())])
    model.compile("adam", "mse")
    model.fit(X, X[:, :2], verbose=0)
    np.testing.assert_array_equal(model.layers[0].params["params"]["order"], [3, 2, 1, 0])


@pytest.mark.law("C6")
def test_a_dtype_that_keras_cannot_hold_is_refused():
    class Tiny(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.param("q", lambda key: jnp.ones((2,), jnp.int4))
            return x

    with pytest.raises(StoreDtypeError, match="'params/q'"):
        FlaxLayer(Tiny())(X)
