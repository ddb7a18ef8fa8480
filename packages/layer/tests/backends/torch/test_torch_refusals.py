"""Where torch traces, or has tensors of no memory, a layer is refused by name (K4)."""

import flax.linen as nn
import keras
import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from flaxlayer import FlaxLayer
from flaxlayer_core import LowerModuleError

pytestmark = [
    pytest.mark.law("K4"),
    # torch itself still uses what it tells others to leave.
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]

X = torch.ones(2, 3)


@pytest.fixture
def layer():
    layer = FlaxLayer(nn.Dense(2))
    layer.build_on(X)
    return layer


@pytest.mark.filterwarnings("ignore:Converting a tensor:torch.jit.TracerWarning")
@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no_grad"])
@pytest.mark.parametrize("whole", [False, True], ids=["layer", "model"])
def test_a_trace_of_torch_holds_no_results_of_one_input(grad, whole, layer):
    model = keras.Sequential([keras.Input((3,)), layer]) if whole else layer
    with torch.set_grad_enabled(grad), pytest.raises(LowerModuleError, match=r"torch\.jit"):
        torch.jit.trace(model, (X,))
    expected = nn.Dense(2).apply(layer.flax_variables(), np.zeros((2, 3), np.float32))
    np.testing.assert_allclose(model(X * 0).detach(), expected)


@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no_grad"])
def test_a_tangent_is_not_lost(grad, layer):
    with torch.autograd.forward_ad.dual_level(), torch.set_grad_enabled(grad):
        dual = torch.autograd.forward_ad.make_dual(X, torch.ones_like(X))
        with pytest.raises(LowerModuleError, match="no forward-mode gradient"):
            layer(dual)
        layer(X)


def map_rows(layer):
    torch.vmap(layer)(X)


def transform(layer):
    torch.func.grad(lambda x: layer(x).sum())(X)


def push_forward(layer):
    torch.func.jvp(layer, (X,), (X,))


def fake(layer):
    with FakeTensorMode() as mode:
        layer(mode.from_tensor(X))


@pytest.mark.parametrize("call", [map_rows, transform, push_forward, fake])
def test_a_tensor_that_has_no_memory_is_refused(call, layer):
    with pytest.raises(LowerModuleError, match=r"JAX cannot read|no forward-mode"):
        call(layer)
    np.testing.assert_allclose(layer(X).detach(), nn.Dense(2).apply(layer.flax_variables(), X))


def test_a_tensor_without_elements_has_no_memory_and_is_taken(layer):
    assert layer(X[:0]).shape == (0, 2)
