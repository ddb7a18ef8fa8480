"""Weights are held once, while a layer is built and after it (B6, K3)."""

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest
import torch

from flaxlayer import FlaxLayer
from flaxlayer.backends.torch.torch_backend import TorchBackend

WIDTH, DEPTH = 61, 6  # a width of no other test


class Deep(nn.Module):
    @nn.compact
    def __call__(self, x):
        for _ in range(DEPTH):
            x = nn.tanh(nn.Dense(WIDTH, use_bias=False)(x))
        return x


def kernels_of_jax():
    """Returns where JAX has arrays of the form of a kernel."""
    arrays = [array for array in jax.live_arrays() if array.shape == (WIDTH, WIDTH)]
    return {array.unsafe_buffer_pointer() for array in arrays}


@pytest.mark.law("B6")
def test_a_build_holds_no_initial_value_beside_its_variable(monkeypatch):
    to_backend, held, before = TorchBackend.to_backend, [], kernels_of_jax()

    def counting(backend, array):
        if array.shape == (WIDTH, WIDTH):
            held.append(len(kernels_of_jax() - before))
        return to_backend(backend, array)

    monkeypatch.setattr(TorchBackend, "to_backend", counting)
    layer = FlaxLayer(Deep())
    layer.build_on(torch.ones(2, WIDTH))
    # JAX lets go of what it handed to torch when it is used the next time.
    assert len(held) == DEPTH
    assert all(count <= DEPTH - made + 1 for made, count in enumerate(held))


@pytest.mark.law("K3")
def test_calls_gradients_and_fit_read_the_parameters_where_they_are():
    before = kernels_of_jax()
    layer = FlaxLayer(Deep())
    model = keras.Sequential([keras.Input((WIDTH,)), layer])
    x = np.ones((4, WIDTH), np.float32)
    places = [parameter.data_ptr() for parameter in layer.parameters() if parameter.dim() == 2]
    assert len(places) == DEPTH
    with torch.no_grad():
        layer(torch.from_numpy(x))
    assert kernels_of_jax() - before == set(places)
    layer(torch.from_numpy(x), training=True).sum().backward()
    for parameter in layer.parameters():
        parameter.grad = None
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, x, verbose=0)
    for parameter in layer.parameters():
        parameter.grad = None
    model.predict(x, verbose=0)
    assert [p.data_ptr() for p in layer.parameters() if p.dim() == 2] == places
    assert kernels_of_jax() - before == set(places)


def numbers_kept(layer, x):
    """Returns how many numbers a call keeps for its gradient."""
    sizes = []

    def pack(tensor):
        sizes.append(tensor.numel())
        return tensor

    layer.build_on(x)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(x)
    return sum(sizes)


@pytest.mark.law("A11")
def test_in_a_remat_scope_the_inputs_alone_are_kept():
    x = torch.ones(200, WIDTH)
    plain = FlaxLayer(Deep())
    with keras.RematScope(mode="full"):
        recomputed = FlaxLayer(Deep())
    inputs = x.numel() + DEPTH * WIDTH * WIDTH
    assert numbers_kept(recomputed, x) <= inputs < numbers_kept(plain, x)
