"""Calls on torch: compiled once, on memory that stays as it is while JAX computes (K3, K4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch

import flaxlayer
from flaxlayer import FlaxLayer
from flaxlayer_core import ExportModelError, LowerModuleError

pytestmark = pytest.mark.law("K3")

TRACES = []


class Counted(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        TRACES.append(x.shape)
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(x))
        return nn.Dropout(0.5, deterministic=not train)(x)


class Slow(nn.Module):
    """Takes its time before it looks at its input a last time."""

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, ())
        y = jax.lax.fori_loop(0, 300, lambda _, y: jnp.tanh(y @ y), x)
        return y * 0 + x * scale


@pytest.mark.parametrize("grad", [False, True], ids=["plain", "grad"])
def test_a_tensor_may_be_written_to_as_soon_as_a_call_returns(grad):
    layer = FlaxLayer(Slow())
    x = torch.ones(300, 300)
    layer.build_on(x)
    for _ in range(3):
        given = torch.ones(300, 300)
        with torch.set_grad_enabled(grad):
            y = layer(given)
        given.fill_(-1)
        with torch.no_grad():
            layer.params["params"]["scale"].value.fill_(7)
        np.testing.assert_array_equal(y.detach().numpy(), np.ones((300, 300), np.float32))
        with torch.no_grad():
            layer.params["params"]["scale"].value.fill_(1)


def test_a_hundred_calls_and_steps_are_traced_as_two_of_them_are():
    layer = FlaxLayer(Counted(), seed=1)
    x = torch.randn(6, 3)

    def step():
        with torch.no_grad():
            layer(x)
        layer(x, training=True).sum().backward()

    step()
    step()
    TRACES.clear()
    for _ in range(100):
        step()
    assert TRACES == []


def test_any_number_of_rows_has_a_program_of_its_own():
    layer = FlaxLayer(Counted(), seed=1)
    model = keras.Sequential([keras.Input((3,)), layer])
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    found = model.predict(x, batch_size=4, verbose=0)
    expected = layer.module.apply(layer.flax_variables(), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_parameters_that_move_are_read_where_they_are():
    layer = FlaxLayer(nn.Dense(2))
    x = torch.ones(1, 3)
    layer(x)
    kernel = layer.params["params"]["kernel"].value
    kernel.data = torch.full((3, 2), 2.0)
    np.testing.assert_allclose(layer(x).detach().numpy(), [[6.0, 6.0]])
    # A piece of other memory, which is not aligned.
    kernel.data = torch.arange(9.0)[1:7].view(3, 2)
    np.testing.assert_allclose(layer(x).detach().numpy(), [[9.0, 12.0]])
    with torch.no_grad():
        kernel.mul_(2)
    np.testing.assert_allclose(layer(x).detach().numpy(), [[18.0, 24.0]])
    layer.double()
    assert layer(x).dtype == torch.float32  # as JAX has it without x64
    layer.bfloat16()
    expected = nn.Dense(2).apply(layer.flax_variables(), np.ones((1, 3), np.float32))
    np.testing.assert_allclose(layer(x).detach().float().numpy(), expected, rtol=1e-2)


def test_several_threads_call_one_layer():
    import concurrent.futures

    layer = FlaxLayer(Counted(), seed=1)
    inputs = [torch.full((5, 3), float(i)) for i in range(16)]
    layer(inputs[0])

    def run(x):
        with torch.no_grad():
            return layer(x).numpy()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, inputs))
    for x, y in zip(inputs, found, strict=True):
        expected = layer.module.apply(layer.flax_variables(), x.numpy())
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


class Branches(nn.Module):
    """Branches on values, so that it runs op by op; one branch returns what the module holds."""

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, ())
        if x.sum() > 0:
            return x * scale * 2
        return x * scale * 3


@pytest.mark.law("A6")
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_module_that_branches_on_values_runs_op_by_op_with_its_gradient(sign):
    layer = FlaxLayer(Branches())
    x = torch.full((2, 3), sign, requires_grad=True)
    factor = 2.0 if sign > 0 else 3.0
    y = layer(x)
    np.testing.assert_allclose(y.detach().numpy(), np.full((2, 3), sign * factor))
    y.sum().backward()
    np.testing.assert_allclose(x.grad, np.full((2, 3), factor))
    with torch.no_grad():
        held = layer(x)
        held.fill_(100)
    np.testing.assert_allclose(layer(x).detach().numpy(), np.full((2, 3), sign * factor))


class Holds(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x, CONSTANT, x + 1


CONSTANT = jnp.arange(3.0)


@pytest.mark.parametrize("disable", [False, True], ids=["compiled", "op by op"])
@pytest.mark.parametrize("grad", [False, True], ids=["plain", "grad"])
def test_what_a_call_gives_shares_no_memory_with_what_it_got_or_holds(grad, disable):
    layer = FlaxLayer(Holds())
    x = torch.ones(3, requires_grad=grad)
    with jax.disable_jit(disable):
        same, constant, _ = layer(x)
    with torch.no_grad():
        same.fill_(5)
        constant.fill_(5)
    np.testing.assert_array_equal(x.detach().numpy(), np.ones(3))
    np.testing.assert_array_equal(CONSTANT, np.arange(3.0))


def test_a_gradient_is_no_other_tensor_s_memory():
    layer = FlaxLayer(Holds())
    x = torch.ones(3, requires_grad=True)
    given = torch.full((3,), 2.0)
    (found,) = torch.autograd.grad(layer(x)[0], x, given)
    found.fill_(9)
    np.testing.assert_array_equal(given.numpy(), np.full(3, 2.0))


@pytest.mark.law("A5")
def test_keras_asks_for_shapes_with_tensors_that_have_no_values():
    layer = FlaxLayer(Counted())

    class Around(keras.layers.Layer):
        def call(self, x):
            return keras.ops.concatenate([layer(x), x], -1)

    tensor = keras.Input((3,))
    model = keras.Model(tensor, Around()(tensor))
    assert model.output_shape == (None, 7)
    assert model(torch.ones(2, 3)).shape == (2, 7)
    timed = keras.layers.TimeDistributed(FlaxLayer(nn.Dense(2)))
    assert timed(torch.ones(2, 5, 3)).shape == (2, 5, 2)


@pytest.mark.law("K4")
def test_an_export_is_refused_by_name(tmp_path):
    model = keras.Sequential([keras.Input((3,)), FlaxLayer(nn.Dense(2))])
    with pytest.raises(LowerModuleError, match="cannot be exported from the torch backend"):
        torch.export.export(model, (torch.ones(2, 3),))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # Dynamo looks at it
def test_a_compiled_function_around_it_gives_its_results_and_gradients():
    layer = FlaxLayer(nn.Dense(2))
    x = torch.randn(4, 3)
    layer(x)

    def run(x):
        return torch.relu(layer(x * 2)) + 1

    expected = run(x)
    compiled = torch.compile(run, backend="eager")
    np.testing.assert_allclose(compiled(x).detach(), expected.detach(), rtol=1e-6)
    kernel = layer.params["params"]["kernel"].value
    expected.sum().backward()
    first = kernel.grad.clone()
    kernel.grad = None
    compiled(x).sum().backward()
    np.testing.assert_allclose(kernel.grad, first, rtol=1e-6)


@pytest.mark.law("K4")
@pytest.mark.parametrize("route", ["export", "archive"])
def test_an_export_of_ours_is_refused_by_name(route, tmp_path):
    model = keras.Sequential([keras.Input((3,)), FlaxLayer(nn.Dense(2))])
    with pytest.raises(ExportModelError, match="cannot be exported on this Keras backend"):
        if route == "export":
            flaxlayer.export(model, tmp_path / "model")
        else:
            flaxlayer.ExportArchive()
