"""What users of torch do around a layer in ten lines, as around other modules (K1, K3)."""

import copy

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch

from flaxlayer import FlaxLayer
from packages.layer.tests.backends.trained_by_hand import (
    RATE,
    Net,
    batches,
    data,
    initial,
    train_by_hand,
)

pytestmark = pytest.mark.law("K1", "K3")


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


def trained(layer, x, y, optimizer=None):
    """Trains in a loop of torch's own, and returns the variables."""
    asked = [p for p in layer.parameters() if p.requires_grad]
    optimizer = optimizer or torch.optim.SGD(asked, RATE)
    for left, right in batches(*tensors(x, y)):
        optimizer.zero_grad()
        ((layer(left, training=True) - right) ** 2).mean().backward()
        optimizer.step()
    return layer.flax_variables()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_layer_that_is_first_called_without_gradients_trains(context, close):
    x, y = data()
    layer = FlaxLayer(Net(), seed=5)
    with context():
        layer(torch.from_numpy(x[:8]))
    close(trained(layer, x, y), train_by_hand(initial(x), batches(x, y), 5), rtol=1e-4)


def test_features_of_inference_mode_are_inputs_like_torch_s_own():
    with torch.inference_mode():
        features = torch.ones(3, 4).mul(2)
    for layer in (torch.nn.Linear(4, 2), FlaxLayer(nn.Dense(2))):
        layer(features.clone()).sum().backward()
        with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
            layer(features)
    # The gradient of a bias needs no input.
    layer = FlaxLayer(nn.LayerNorm())
    layer(features).sum().backward()
    np.testing.assert_array_equal(layer.params["params"]["bias"].value.grad, np.full(4, 3.0))


def test_a_layer_is_a_part_of_a_model_of_torch(close):
    x, y = tensors(*data())
    layer = FlaxLayer(nn.Dense(3), seed=2)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), layer)
    model(x)
    assert {id(p) for p in model.parameters()} >= {id(v.value) for v in layer.variables}
    weight, bias = (p.detach().numpy().copy() for p in model[0].parameters())
    params = layer.flax_variables()["params"]

    def loss(weight, bias, params):
        hidden = jnp.tanh(x.numpy() @ weight.T + bias)
        return ((nn.Dense(3).apply({"params": params}, hidden) - y.numpy()) ** 2).mean()

    torch.nn.functional.mse_loss(model(x), y).backward()
    expected = jax.grad(loss, (0, 1, 2))(weight, bias, params)
    asked = {name: layer.params["params"][name].value.grad for name in params}
    found = (model[0].weight.grad, model[0].bias.grad, asked)
    close(jax.tree.map(np.asarray, found), expected)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    np.testing.assert_allclose(torch.stack(norms).norm(), 1e-3, rtol=1e-3)


def test_a_copy_has_weights_of_its_own():
    layer = FlaxLayer(nn.Dense(2))
    x = torch.ones(1, 3)
    before = layer(x).detach().clone()
    other = copy.deepcopy(layer)
    averaged = torch.optim.swa_utils.AveragedModel(layer)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert torch.equal(layer(x), before)
    assert torch.equal(averaged(x), before)
    assert not other(x).any()


def test_a_parameter_that_asks_for_no_gradient_stays(close):
    x, y = data()
    layer = FlaxLayer(Net(rate=0.0), seed=5)
    layer.build_on(torch.from_numpy(x[:8]))
    kernel = layer.params["params"]["Dense_0"]["kernel"].value
    before = kernel.detach().clone()
    kernel.requires_grad_(False)
    after = trained(layer, x, y)["params"]
    assert torch.equal(kernel, before)
    assert not np.array_equal(after["Dense_1"]["kernel"], initial(x)["params"]["Dense_1"]["kernel"])
    layer.requires_grad_(False)
    assert not layer(torch.from_numpy(x)).requires_grad


def test_an_optimizer_that_calls_a_closure_learns():
    x, y = tensors(*data())
    layer = FlaxLayer(nn.Dense(3))
    layer.build_on(x)
    asked = [p for p in layer.parameters() if p.requires_grad]
    optimizer = torch.optim.LBFGS(asked, max_iter=20)
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = ((layer(x) - y) ** 2).mean()
        loss.backward()
        losses.append(loss.item())
        return loss

    optimizer.step(closure)
    # Least squares has one solution.
    wide = np.c_[x, np.ones(len(x))].astype(np.float64)
    best = wide @ np.linalg.lstsq(wide, y.numpy().astype(np.float64), rcond=None)[0]
    assert losses[0] > 2 * losses[-1]
    np.testing.assert_allclose(losses[-1], ((best - y.numpy()) ** 2).mean(), rtol=1e-2)


@pytest.mark.law("A7")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_mixed_policy_computes_in_half_precision_and_trains_whole_weights(dtype, close):
    x, y = tensors(*data())
    layer = FlaxLayer(nn.Dense(3), dtype=f"mixed_{dtype}", seed=5)
    out = layer(x)
    assert out.dtype == getattr(torch, dtype)
    half = jnp.dtype(dtype)
    params = layer.flax_variables()["params"]

    def loss(params):
        cast = jax.tree.map(lambda leaf: leaf.astype(half), params)
        out = nn.Dense(3).apply({"params": cast}, x.numpy().astype(half))
        return ((out.astype(jnp.float32) - y.numpy()) ** 2).mean()

    ((layer(x).float() - y) ** 2).mean().backward()
    found = {name: layer.params["params"][name].value.grad for name in params}
    assert {gradient.dtype for gradient in found.values()} == {torch.float32}
    close(jax.tree.map(np.asarray, found), jax.jit(jax.grad(loss))(params), rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_model_that_goes_to_another_dtype_computes_on_its_rounded_weights(dtype):
    x, y = data()
    layer = FlaxLayer(Net(), seed=5)
    model = keras.Sequential([layer])
    model(x)
    before = layer.flax_variables()
    model.to(getattr(torch, dtype))
    half = jax.tree.map(lambda leaf: leaf.astype(dtype), before)
    jax.tree.map(np.testing.assert_array_equal, layer.flax_variables(), half)
    expected = jax.jit(lambda variables: Net().apply(variables, x))(half)
    found = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_array_equal(found, np.asarray(expected, found.dtype))
    model.compile("sgd", "mse")
    model.train_on_batch(x, y)
    moved = layer.flax_variables()["params"]
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(moved)} == {dtype}
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), moved, half["params"])
    assert any(jax.tree.leaves(changed))


def test_a_model_that_goes_to_where_it_is_keeps_the_memory_of_its_weights():
    layer = FlaxLayer(nn.Dense(3))
    model = keras.Sequential([layer])
    model(data()[0])
    before = [variable.value.data_ptr() for variable in layer.weights]
    model.to("cpu")
    assert [variable.value.data_ptr() for variable in layer.weights] == before
