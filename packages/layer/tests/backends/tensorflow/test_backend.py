"""Training on TensorFlow is training by hand in JAX (K1, B3)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import tensorflow as tf

from flaxlayer import FlaxLayer
from packages.layer.tests.backends.trained_by_hand import (
    RATE,
    Net,
    Subclassed,
    batches,
    data,
    functional,
    initial,
    sequential,
    three_steps,
    train_by_hand,
    train_nnx,
)

pytestmark = pytest.mark.law("K1")


@pytest.mark.parametrize(
    ("make", "jit_compile"), [(functional, False), (Subclassed, False), (sequential, True)]
)
def test_three_steps_of_fit_are_three_steps_by_hand(make, jit_compile, close):
    close(*three_steps(make, jit_compile=jit_compile), rtol=1e-4)


def test_a_pipeline_of_tf_data_with_a_last_partial_batch_trains(close):
    x, y = data(20)
    layer = FlaxLayer(Net(), seed=5)
    model = sequential(layer)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(8), shuffle=False, verbose=0)
    close(layer.flax_variables(), train_by_hand(initial(x), batches(x, y), 5), rtol=1e-4)
    expected = Net().apply(layer.flax_variables(), x)
    close(model.predict(x, batch_size=8, verbose=0), np.asarray(expected))


def test_frozen_weights_and_state_stay(close):
    x, y = data()
    layer = FlaxLayer(Net(rate=0.0))
    model = functional(layer)
    layer.freeze("params/Dense_0/**", "batch_stats/**")
    model.compile(keras.optimizers.SGD(RATE), "mse")
    before = layer.flax_variables()
    model.fit(x, y, verbose=0)
    after = layer.flax_variables()
    close(after["params"]["Dense_0"], before["params"]["Dense_0"], rtol=1e-12, atol=1e-12)
    close(after["batch_stats"], before["batch_stats"], rtol=1e-12, atol=1e-12)
    moved = np.abs(after["params"]["Dense_1"]["kernel"] - before["params"]["Dense_1"]["kernel"])
    assert moved.max() > 0


def test_replicas_train_one_set_of_weights_and_average_their_state(close):
    x, y = data(8)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        layer = FlaxLayer(Net(rate=0.0), seed=5)
        model = sequential(layer)
        model.compile(keras.optimizers.SGD(RATE), "mse")
    first = initial(x)
    model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)

    def loss(params):
        given = {**first, "params": params}
        total, stats = 0.0, []
        for part in (slice(0, 4), slice(4, 8)):
            out, updates = Net(rate=0.0).apply(given, x[part], train=True, mutable=["batch_stats"])
            total += ((out - y[part]) ** 2).mean() / 2
            stats.append(updates["batch_stats"])
        return total, stats

    slopes, stats = jax.grad(loss, has_aux=True)(first["params"])
    params = jax.tree.map(lambda p, g: p - RATE * g, first["params"], slopes)
    mean = jax.tree.map(lambda *parts: sum(parts) / 2, *stats)
    found = layer.flax_variables()
    close(found["params"], params, rtol=1e-4)
    close(found["batch_stats"], mean, rtol=1e-4)


def test_an_nnx_module_trains(close):
    train_nnx(close)


def test_the_error_of_a_first_batch_of_another_width_is_explained():
    layer = FlaxLayer(nn.Dense(2))
    layer(jnp.ones((2, 4)))
    with pytest.raises(TypeError, match="another form than it was built with"):
        layer(np.ones((2, 5), np.float32))


@pytest.mark.law("W1")
def test_odd_names_of_weights_train_freeze_and_keep_their_paths():
    class Odd(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.WeightNorm(nn.Dense(2, name="~ä b"))(x)

    layer = FlaxLayer(Odd())
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    x = np.ones((4, 3), "float32")
    model.fit(x, x[:, :2], verbose=0)
    name = f"{layer.name}/params/WeightNorm_0/>7E>C3>A4>20b>2Fkernel>2Fscale"
    assert any(variable.path.endswith(name) for variable in layer.weights)
    trained = len(layer.trainable_variables)
    layer.freeze("params/WeightNorm_0/~ä b%2Fkernel%2Fscale")
    assert len(layer.trainable_variables) == trained - 1
