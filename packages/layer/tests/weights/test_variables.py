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


@pytest.mark.law("C5", "C6")
def test_given_integer_params_are_stored_and_never_trained_whatever_is_thawed():
    kernel = np.arange(8, dtype=np.int8).reshape(4, 2)
    given = {"params": {"kernel": kernel, "bias": np.zeros(2, np.float32)}}
    layer = FlaxLayer(nn.Dense(2), variables=given)
    model = keras.Sequential([keras.Input((4,)), layer])
    thaws = [
        lambda: None,
        lambda: (setattr(layer, "trainable", False), setattr(layer, "trainable", True)),
        lambda: (layer.freeze("params/**"), layer.unfreeze("params/**")),
        lambda: setattr(model, "trainable", True),
    ]
    for thaw in thaws:
        thaw()
        assert [variable.name for variable in layer.trainable_variables] == ["bias"]
        assert "kernel" in [variable.name for variable in layer.non_trainable_variables]
    lines = []
    model.summary(print_fn=lines.append)
    said = "\n".join(lines)
    assert "Trainable params: 2 " in said
    assert "Non-trainable params: 8 " in said
    model.compile("sgd", "mse")
    model.fit(X, np.ones((2, 2), np.float32), verbose=0)
    found = layer.flax_variables()["params"]
    np.testing.assert_array_equal(found["kernel"], kernel)
    assert found["kernel"].dtype == np.int8
    assert np.all(np.asarray(found["bias"]) != 0)


@pytest.mark.law("C6")
def test_a_dtype_that_keras_cannot_hold_is_refused():
    class Tiny(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.param("q", lambda key: jnp.ones((2,), jnp.int4))
            return x

    with pytest.raises(StoreDtypeError, match="'params/q'"):
        FlaxLayer(Tiny())(X)
