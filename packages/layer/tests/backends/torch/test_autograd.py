"""Gradients are JAX's, in all the ways in which torch asks for them (K1, K3)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

from flaxlayer import FlaxLayer
from flaxlayer_core import RunModuleError

pytestmark = pytest.mark.law("K3")


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        h = nn.tanh(nn.Dense(4)(x))
        return jnp.sin(nn.Dense(2)(h)) * h.sum(-1, keepdims=True)


class Exponential(nn.Module):
    """Its gradient needs its result."""

    @nn.compact
    def __call__(self, x):
        return jnp.exp(x * self.param("scale", nn.initializers.ones, ()))


class Spectral(nn.Module):
    """Its gradient needs state that the call changes."""

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, ())
        state = self.variable("state", "factor", lambda: jnp.full((), 3.0))
        y = jnp.sin(x * scale * state.value)
        state.value = state.value * 2
        return y


class Several(nn.Module):
    @nn.compact
    def __call__(self, x, n):
        y = nn.Dense(3)(x)
        return {"used": y * n, "unused": jnp.exp(y), "index": y.argmax(-1), "flag": n > 1}


class Loop(nn.Module):
    """Has no gradient in reverse mode."""

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, ())
        return jax.lax.while_loop(lambda y: y.sum() < 100, lambda y: y * 2, x * scale), x * scale


X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def tensor(grad=True, dtype=torch.float32):
    return torch.from_numpy(X).to(dtype).clone().requires_grad_(grad)


def raw(layer):
    return lambda variables, x, *rest: layer.module.apply(variables, x, *rest)


def grads(layer):
    """The gradients of the layer's trainable weights, by the paths of the module."""
    found = {}
    for variable in layer.trainable_variables:
        path = variable.path.split("/params/")[1]
        found[path] = variable.value.grad.numpy()
    return found


def flat(tree):
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {"/".join(key.key for key in path): np.asarray(leaf) for path, leaf in leaves}


def same(found, expected, rtol=1e-5):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=rtol, atol=1e-5)


def expected_grads(layer, x=X, loss=lambda y: (y**2).sum()):
    variables = layer.flax_variables()

    def run(params, x):
        return loss(raw(layer)({**variables, "params": params}, x))

    by_params, by_x = jax.grad(run, argnums=(0, 1))(variables["params"], x)
    return flat(by_params), np.asarray(by_x)


@pytest.mark.parametrize("module", [Net(), Exponential()], ids=["net", "exponential"])
def test_gradients_of_weights_and_inputs_are_those_of_jax(module):
    layer, x = FlaxLayer(module), tensor()
    (layer(x) ** 2).sum().backward()
    by_params, by_x = expected_grads(layer)
    same(grads(layer), by_params)
    np.testing.assert_allclose(x.grad, by_x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("module", [Net(), Exponential()], ids=["net", "exponential"])
def test_gradcheck_passes_in_double_precision(module, enable_x64):
    with enable_x64(True):
        layer = FlaxLayer(module, dtype="float64")
        x = tensor(dtype=torch.float64)
        layer(x)
        assert torch.autograd.gradcheck(layer, (x,))
        assert torch.autograd.gradgradcheck(layer, (x,))


def test_gradcheck_passes_for_complex_inputs(enable_x64):
    class Wave(nn.Module):
        @nn.compact
        def __call__(self, z):
            return jnp.exp(1j * z) * z.conj(), jnp.abs(z) ** 2

    with enable_x64(True):
        z = torch.complex(tensor(dtype=torch.float64), tensor(dtype=torch.float64)).detach()
        assert torch.autograd.gradcheck(FlaxLayer(Wave()), (z.requires_grad_(),))


def test_a_penalty_of_gradients_trains_as_in_jax():
    layer, x = FlaxLayer(Net()), tensor()
    (slope,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    (slope**2).sum().backward()
    variables = layer.flax_variables()

    def penalty(params):
        by_x = jax.grad(lambda x: raw(layer)({"params": params}, x).sum())(jnp.asarray(X))
        return (by_x**2).sum()

    same(grads(layer), flat(jax.grad(penalty)(variables["params"])), rtol=1e-4)


def test_state_that_the_call_changes_is_what_it_was_for_the_gradients():
    layer, x = FlaxLayer(Spectral()), tensor()
    layer.build_on(x)
    factor = float(layer.flax_variables()["state"]["factor"])
    y = layer(x)
    (first,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    np.testing.assert_allclose(first, factor * np.cos(factor * X), rtol=1e-4, atol=1e-5)
    (again,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(again.sum(), x)
    np.testing.assert_allclose(second, -(factor**2) * np.sin(factor * X), rtol=1e-4, atol=1e-4)
    assert float(layer.flax_variables()["state"]["factor"]) == 2 * factor


def test_outputs_that_no_loss_asks_for_and_integers_have_no_gradient():
    layer, x = FlaxLayer(Several()), tensor()
    outputs = layer(x, torch.tensor(2))
    assert not outputs["index"].requires_grad and not outputs["flag"].requires_grad
    outputs["used"].sum().backward()
    variables = layer.flax_variables()
    by_x = jax.grad(lambda x: raw(layer)(variables, x, 2)["used"].sum())(X)
    np.testing.assert_allclose(x.grad, by_x, rtol=1e-5)


def test_only_what_asks_for_a_gradient_gets_one():
    layer, x = FlaxLayer(Net()), tensor(grad=False)
    layer.build_on(x)
    layer.freeze("params/Dense_0/**")
    layer(x).sum().backward()
    asked = [v.path for v in layer.variables if v.value.grad is not None]
    assert sorted(path.rsplit("/", 2)[1] for path in asked) == ["Dense_1", "Dense_1"]


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_without_gradients_nothing_is_kept(context, same_bits):
    layer, x = FlaxLayer(Net()), tensor()
    with context():
        y = layer(x)
    assert not y.requires_grad
    expected = jax.jit(layer.module.apply)(layer.flax_variables(), X)
    same_bits(y.numpy(), np.asarray(expected))


def test_autocast_leaves_a_module_its_dtypes():
    layer, x = FlaxLayer(Net()), tensor()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.float32
    (y**2).sum().backward()
    same(grads(layer), expected_grads(layer)[0])


@pytest.mark.parametrize("reentrant", [False, True], ids=["hooks", "reentrant"])
def test_a_checkpoint_keeps_no_residuals_and_gives_the_gradients(reentrant):
    layer, x = FlaxLayer(Net()), tensor()
    layer.build_on(x)
    (checkpoint(layer, x, use_reentrant=reentrant) ** 2).sum().backward()
    by_params, by_x = expected_grads(layer)
    same(grads(layer), by_params)
    np.testing.assert_allclose(x.grad, by_x, rtol=1e-5, atol=1e-5)


def test_hooks_on_what_is_saved_see_all_that_a_gradient_needs():
    layer, x, packed = FlaxLayer(Net()), tensor(), []

    def pack(saved):
        packed.append(saved.shape)
        return saved.clone()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        y = layer(x)
    assert (3, 4) in packed and len(packed) > 3
    (y**2).sum().backward()
    same(grads(layer), expected_grads(layer)[0])


def test_hooks_of_modules_and_tensors_run():
    layer, x, seen = FlaxLayer(Net()), tensor(), []
    layer(x)
    handle = layer.register_forward_hook(lambda *_: seen.append("forward"))
    y = layer(x)
    y.register_hook(lambda grad: seen.append("output"))
    layer.trainable_variables[0].value.register_hook(lambda grad: seen.append("weight"))
    y.sum().backward()
    handle.remove()
    layer(x)
    assert sorted(seen) == ["forward", "output", "weight"]


def test_an_input_that_was_written_to_before_its_gradient_is_an_error_of_torch():
    layer, x = FlaxLayer(Net()), tensor()
    moved = x * 1
    y = layer(moved)
    moved.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_an_output_may_be_written_to():
    layer, x = FlaxLayer(Exponential()), tensor()
    layer(x).mul_(2).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * np.exp(X), rtol=1e-5)


def test_a_graph_is_gone_after_its_gradient_unless_it_is_kept():
    layer, x = FlaxLayer(Net()), tensor()
    y = layer(x).sum()
    y.backward(retain_graph=True)
    first = x.grad.clone()
    y.backward()
    np.testing.assert_allclose(x.grad, 2 * first, rtol=1e-6)
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


@pytest.mark.law("K4")
def test_a_module_without_a_gradient_runs_and_says_so_when_asked():
    layer, x = FlaxLayer(Loop()), tensor()
    looped, plain = layer(x.abs())
    assert float(looped.detach().sum()) >= 100
    plain.sum().backward()
    np.testing.assert_allclose(x.grad, np.sign(X))
    looped, _ = layer(x.abs())
    with pytest.raises(RunModuleError, match="no gradient in JAX"):
        looped.sum().backward()


def test_a_gradient_asked_for_outside_of_x64_is_one_of_x64(enable_x64):
    with enable_x64(True):
        layer = FlaxLayer(Net(), dtype="float64")
        x = tensor(dtype=torch.float64)
        y = (layer(x) ** 2).sum()
        variables = layer.flax_variables()
        by_x = jax.grad(lambda x: (raw(layer)(variables, x) ** 2).sum())(X.astype(np.float64))
    y.backward()
    assert x.grad.dtype == torch.float64
    np.testing.assert_allclose(x.grad, by_x, rtol=1e-10)
