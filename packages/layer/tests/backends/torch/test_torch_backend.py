"""Training on torch is training by hand in JAX (K1, K3)."""

import subprocess
import sys

import flax.linen as nn
import keras
import numpy as np
import pytest
import torch

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


class Pairs(torch.utils.data.Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


@pytest.mark.parametrize("make", [sequential, functional, Subclassed])
def test_three_steps_of_fit_are_three_steps_by_hand(make, close):
    close(*three_steps(make), rtol=1e-4)


def test_a_data_loader_with_a_last_partial_batch_trains(close):
    x, y = data(20)
    layer = FlaxLayer(Net(), seed=5)
    model = sequential(layer)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(torch.utils.data.DataLoader(Pairs(x, y), batch_size=8), shuffle=False, verbose=0)
    close(layer.flax_variables(), train_by_hand(initial(x), batches(x, y), 5), rtol=1e-4)
    expected = Net().apply(layer.flax_variables(), x)
    close(model.predict(x, batch_size=8, verbose=0), np.asarray(expected))


@pytest.mark.slow
def test_workers_of_a_data_loader_feed_fit(close):
    x, y = data()
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(
        pairs, batch_size=8, num_workers=2, multiprocessing_context="spawn"
    )
    layer = FlaxLayer(Net(), seed=5)
    model = sequential(layer)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(loader, shuffle=False, verbose=0)
    close(layer.flax_variables(), train_by_hand(initial(x), batches(x, y), 5), rtol=1e-4)


# Prints the warnings of a data loader whose workers are forked, and of one that are spawned.
WORKERS = """
import warnings
import flax.linen as nn
import torch
from flaxlayer import FlaxLayer

if __name__ == "__main__":
    x = torch.ones(4, 3)
    FlaxLayer(nn.Dense(2))(x)
    for way in ("fork", "spawn"):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            data = torch.utils.data.TensorDataset(x)
            loader = torch.utils.data.DataLoader(data, num_workers=1, multiprocessing_context=way)
            assert len(list(loader)) == 4
        print(way, any("os.fork() is incompatible" in str(one.message) for one in found))
"""


@pytest.mark.slow
def test_jax_warns_of_forked_workers_and_not_of_spawned_ones(tmp_path):
    path = tmp_path / "workers.py"
    path.write_text(WORKERS)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == ["fork True", "spawn False"]


def test_a_data_set_of_tensorflow_trains(close):
    tf = pytest.importorskip("tensorflow")
    x, y = data()
    layer = FlaxLayer(Net(), seed=5)
    model = sequential(layer)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(8), shuffle=False, verbose=0)
    close(layer.flax_variables(), train_by_hand(initial(x), batches(x, y), 5), rtol=1e-4)


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
    train_nnx(close)


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
