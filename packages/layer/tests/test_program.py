"""An explicit or mixed policy casts the call, never state (A7)."""

import flax.linen as nn
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras.backend import standardize_dtype

from flaxlayer import FlaxLayer

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


@pytest.mark.law("A7")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_under_the_default_policy_nothing_is_cast(dtype):
    class Passes(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x

    x = jnp.asarray(X, dtype)
    assert standardize_dtype(FlaxLayer(Passes())(x).dtype) == dtype
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
    assert standardize_dtype(layer(X).dtype) == computed
    assert layer.params["params"]["kernel"].dtype == stored
    assert layer(keras.Input((4,))).dtype == computed


@pytest.mark.law("A7")
def test_a_mixed_global_policy_casts_the_call_but_not_what_is_stored():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = FlaxLayer(nn.Dense(3, param_dtype=jnp.float16))
        assert standardize_dtype(layer(X).dtype) == "bfloat16"
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
