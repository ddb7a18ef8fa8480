"""What the tests of backends share about training: modules, data, and the same steps by hand."""

import flax.linen as nn
import jax
import keras
import numpy as np
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import init_rngs, stream_rngs

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


def batches(x, y):
    return [(x[start : start + 8], y[start : start + 8]) for start in range(0, len(x), 8)]


def initial(x):
    return Net().init(init_rngs(5, ["dropout", "params"]), x[:8], train=True)


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


def three_steps(make, **options):
    """Returns what a layer holds after three steps of `fit` in a model, and after those by hand."""
    x, y = data()
    layer = FlaxLayer(Net(), seed=5)
    model = make(layer)
    model.compile(keras.optimizers.SGD(RATE), "mse", **options)
    model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    return layer.flax_variables(), train_by_hand(initial(x), batches(x, y), 5)


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


def train_nnx(close):
    """Trains an nnx module by one step of `fit`, and by hand."""

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
