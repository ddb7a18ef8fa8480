"""Training on torch is training by hand in JAX (K1, K3)."""

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest
import torch
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import init_rngs, stream_rngs

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


class Pairs(torch.utils.data.Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


@pytest.mark.parametrize("make", [sequential, functional, Subclassed])
def test_three_steps_of_fit_are_three_steps_by_hand(make, close):
    x, y = data()
    layer = FlaxLayer(Net(), seed=5)
    model = make(layer)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    close(layer.flax_variables(), train_by_hand(initial(x), batches(x, y), 5), rtol=1e-4)


def test_a_data_loader_with_a_last_partial_batch_trains(close):
    x, y = data(20)
    layer = FlaxLayer(Net(), seed=5)
    model = sequential(layer)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(torch.utils.data.DataLoader(Pairs(x, y), batch_size=8), shuffle=False, verbose=0)
    close(layer.flax_variables(), train_by_hand(initial(x), batches(x, y), 5), rtol=1e-4)
    expected = Net().apply(layer.flax_variables(), x)
    close(model.predict(x, batch_size=8, verbose=0), np.asarray(expected))


@pytest.mark.law("K3")
def test_a_loop_of_torch_with_its_optimizer_trains(close):
    x, y = data()
    layer = FlaxLayer(Net(), seed=5)
    layer.build_on(torch.from_numpy(x[:8]))
    optimizer = torch.optim.SGD(layer.parameters(), RATE)
    for left, right in batches(torch.from_numpy(x), torch.from_numpy(y)):
        optimizer.zero_grad()
        loss = ((layer(left, training=True) - right) ** 2).mean()
        loss.backward()
        optimizer.step()
    close(layer.flax_variables(), train_by_hand(initial(x), batches(x, y), 5), rtol=1e-4)


@pytest.mark.law("K3")
def test_parameters_are_those_of_torch_in_place(tmp_path, close):
    x = torch.from_numpy(data()[0])
    layer, other = FlaxLayer(Net(), seed=5), FlaxLayer(Net(), seed=6)
    for each in (layer, other):
        each.build_on(x)
    held = {id(parameter) for parameter in layer.parameters()}
    assert held == {id(variable.value) for variable in layer.variables}
    torch.save(layer.state_dict(), tmp_path / "state.pt")
    stored = torch.load(tmp_path / "state.pt", weights_only=True)
    other(x)
    other.load_state_dict(dict(zip(other.state_dict(), stored.values(), strict=True)))
    close(other.flax_variables(), layer.flax_variables())
    close(np.asarray(other(x)), np.asarray(layer(x)))
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.requires_grad:
                parameter.mul_(0.5)
    expected = Net().apply(layer.flax_variables(), x.numpy())
    close(np.asarray(layer(x)), np.asarray(expected))


@pytest.mark.law("C5")
def test_frozen_weights_and_state_stay(same_bits):
    x, y = data()
    layer = FlaxLayer(Net(rate=0.0))
    model = functional(layer)
    layer.freeze("params/Dense_0/**", "batch_stats/**")
    model.compile(keras.optimizers.SGD(RATE), "mse")
    before = layer.flax_variables()
    model.fit(x, y, verbose=0)
    after = layer.flax_variables()
    same_bits(after["params"]["Dense_0"], before["params"]["Dense_0"])
    same_bits(after["batch_stats"], before["batch_stats"])
    moved = np.abs(after["params"]["Dense_1"]["kernel"] - before["params"]["Dense_1"]["kernel"])
    assert moved.max() > 0


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


@pytest.mark.law("W1")
def test_odd_names_of_weights_train_freeze_and_keep_their_paths():
    class Odd(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.WeightNorm(nn.Dense(2, name="~ä .b"))(x)

    layer = FlaxLayer(Odd())
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    x = np.ones((4, 3), "float32")
    model.fit(x, x[:, :2], verbose=0)
    name = f"{layer.name}/params/WeightNorm_0/~ä %2Eb%2Fkernel%2Fscale"
    assert any(variable.path.endswith(name) for variable in layer.weights)
    assert any(name in key for key in layer.state_dict())
    trained = len(layer.trainable_variables)
    layer.freeze("params/WeightNorm_0/~ä .b%2Fkernel%2Fscale")
    assert len(layer.trainable_variables) == trained - 1
