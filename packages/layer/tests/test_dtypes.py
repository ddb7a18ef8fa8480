"""Variables keep the module's dtype; an explicit or mixed policy casts, never state (A7, C6)."""

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


@pytest.mark.law("A7")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_under_the_default_policy_nothing_is_cast(dtype):
    class Passes(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x

    x = jnp.asarray(X, dtype)
    assert FlaxLayer(Passes())(x).dtype == jnp.dtype(dtype)
    assert FlaxLayer(Passes())(keras.Input((4,), dtype=dtype)).dtype == dtype


@pytest.mark.law("A7")
@pytest.mark.parametrize(
    ("policy", "stored", "computed"),
    [
        ("mixed_bfloat16", "float32", "bfloat16"),
        ("mixed_float16", "float32", "float16"),
        ("float16", "float16", "float16"),
        ("bfloat16", "bfloat16", "bfloat16"),
    ],
)
def test_an_explicit_dtype_casts_the_call_and_what_is_stored(policy, stored, computed):
    layer = FlaxLayer(nn.Dense(3), dtype=policy)
    assert layer(X).dtype == jnp.dtype(computed)
    assert layer.params["params"]["kernel"].dtype == stored
    assert layer(keras.Input((4,))).dtype == computed


@pytest.mark.law("A7")
def test_a_mixed_global_policy_casts_the_call_but_not_what_is_stored():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = FlaxLayer(nn.Dense(3, param_dtype=jnp.float16))
        assert layer(X).dtype == jnp.bfloat16
        assert layer.params["params"]["kernel"].dtype == "float16"
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.law("A7")
def test_batch_norm_keeps_its_mean_over_600_mixed_steps():
    class Norm(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            return nn.BatchNorm(use_running_average=not train, momentum=0.99)(x)

    layer = FlaxLayer(Norm(), dtype="mixed_bfloat16")
    x = jnp.full((4, 1), 10.0)
    for _ in range(600):
        layer(x, training=True)
    mean = layer.flax_variables()["batch_stats"]["BatchNorm_0"]["mean"]
    assert mean.dtype == jnp.float32
    np.testing.assert_allclose(mean, 10.0 * (1 - 0.99**600), rtol=1e-5)


@pytest.mark.law("A7")
def test_mixed_float16_trains():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            x = nn.BatchNorm(use_running_average=not train)(nn.Dense(8)(x))
            return nn.Dense(1)(nn.relu(x))

    model = keras.Sequential([FlaxLayer(Net(), dtype="mixed_float16")])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    history = model.fit(x, x[:, :1], epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]
