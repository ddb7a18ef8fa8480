"""Training on TensorFlow is training by hand in JAX (K1, B3)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import tensorflow as tf
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import stream_rngs

pytestmark = pytest.mark.law("K1")

RATE = 0.1


class Net(nn.Module):
    rate: float = 0.3

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Dense(8)(x))
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        return nn.Dense(3)(nn.Dropout(self.rate, deterministic=not train)(x))


def data(count=24):
    x = np.random.default_rng(0).normal(size=(count, 5)).astype(np.float32)
    return x, np.tanh(x[:, :3]).astype(np.float32)


def train_by_hand(variables, batches, seed):
    """Gradient descent on the mean squared error, with the keys of the layer's calls."""
    params, stats = variables["params"], variables["batch_stats"]
    for step, (x, y) in enumerate(batches):
        rngs = stream_rngs(np.array([seed, step], np.uint32), ["dropout"])

        def loss(params, x=x, y=y, rngs=rngs, stats=stats):
            given = {"params": params, "batch_stats": stats}
            out, updates = Net().apply(given, x, train=True, rngs=rngs, mutable=["batch_stats"])
            return ((out - y) ** 2).mean(), updates["batch_stats"]

        slopes, stats = jax.grad(loss, has_aux=True)(params)
        params = jax.tree.map(lambda p, g: p - RATE * g, params, slopes)
    return {"params": params, "batch_stats": stats}


def sequential(layer):
    return keras.Sequential([layer])


def functional(layer):
    tensor = keras.Input((5,))
    return keras.Model(tensor, layer(tensor))


class Subclassed(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, x, training=None):
        return self.layer(x, training=training)


@pytest.mark.parametrize(
    ("make", "jit_compile"), [(functional, False), (Subclassed, False), (sequential, True)]
)
def test_three_steps_of_fit_are_three_steps_by_hand(make, jit_compile, close):
    x, y = data()
    layer = FlaxLayer(Net(), seed=5)
    model = make(layer)
    model.compile(keras.optimizers.SGD(RATE), "mse", jit_compile=jit_compile)
    initial = Net().init(_init_rngs(5), x[:8], train=True)
    batches = [(x[start : start + 8], y[start : start + 8]) for start in (0, 8, 16)]
    model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    close(layer.flax_variables(), train_by_hand(initial, batches, 5), rtol=1e-4)


def _init_rngs(seed):
    from flaxlayer_core import init_rngs

    return init_rngs(seed, ["dropout", "params"])


def test_a_pipeline_of_tf_data_with_a_last_partial_batch_trains(close):
    x, y = data(20)
    layer = FlaxLayer(Net(), seed=5)
    model = sequential(layer)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(8), shuffle=False, verbose=0)
    initial = Net().init(_init_rngs(5), x[:8], train=True)
    batches = [(x[start : start + 8], y[start : start + 8]) for start in (0, 8, 16)]
    close(layer.flax_variables(), train_by_hand(initial, batches, 5), rtol=1e-4)
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
    initial = Net(rate=0.0).init(_init_rngs(5), x, train=True)
    model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)

    def loss(params):
        given = {**initial, "params": params}
        total, stats = 0.0, []
        for part in (slice(0, 4), slice(4, 8)):
            out, updates = Net(rate=0.0).apply(given, x[part], train=True, mutable=["batch_stats"])
            total += ((out - y[part]) ** 2).mean() / 2
            stats.append(updates["batch_stats"])
        return total, stats

    slopes, stats = jax.grad(loss, has_aux=True)(initial["params"])
    params = jax.tree.map(lambda p, g: p - RATE * g, initial["params"], slopes)
    mean = jax.tree.map(lambda *parts: sum(parts) / 2, *stats)
    found = layer.flax_variables()
    close(found["params"], params, rtol=1e-4)
    close(found["batch_stats"], mean, rtol=1e-4)


def test_an_nnx_module_trains(close):
    class Mlp(nnx.Module):
        def __init__(self, width, *, rngs):
            self.first = nnx.Linear(5, width, rngs=rngs)
            self.norm = nnx.BatchNorm(width, momentum=0.5, rngs=rngs)
            self.last = nnx.Linear(width, 3, rngs=rngs)

        def __call__(self, x):
            return self.last(jax.nn.relu(self.norm(self.first(x))))

    x, y = data(8)
    module = Mlp(8, rngs=nnx.Rngs(0))
    layer = FlaxLayer(module)
    model = sequential(layer)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(x, y, batch_size=8, verbose=0)
    graph, params, rest = nnx.split(module, nnx.Param, ...)

    def loss(params):
        merged = nnx.merge(graph, params, rest, copy=True)
        merged.train()
        result = ((merged(x) - y) ** 2).mean()
        return result, nnx.state(merged, nnx.BatchStat)

    slopes, stats = jax.grad(loss, has_aux=True)(params)
    expected = jax.tree.map(lambda p, g: p - RATE * g, params, slopes)
    found = layer.to_module()
    close(jax.tree.leaves(nnx.state(found, nnx.Param)), jax.tree.leaves(expected), rtol=1e-4)
    close(jax.tree.leaves(nnx.state(found, nnx.BatchStat)), jax.tree.leaves(stats), rtol=1e-4)


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
