"""What the layer asks of torch's and JAX's internals is there, and does what is expected of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from flaxlayer.compat import private_torch


def test_the_fast_ways_are_there_and_agree_with_the_public_ones(monkeypatch):
    assert private_torch._export is not None and private_torch._import is not None
    array, tensor = jnp.arange(3.0), torch.arange(3.0)
    fast = private_torch.export_array(array), private_torch.import_tensor(tensor)
    monkeypatch.setattr(private_torch, "_export", None)
    monkeypatch.setattr(private_torch, "_import", None)
    slow = private_torch.export_array(array), private_torch.import_tensor(tensor)
    for made, public in zip(fast, slow, strict=True):
        assert type(made) is type(public)
        np.testing.assert_array_equal(np.asarray(made), np.asarray(public))
    assert isinstance(fast[1], jax.Array)


def test_hooks_on_what_is_saved_are_seen():
    assert not private_torch.has_saving_hooks()
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: saved, lambda saved: saved):
        assert private_torch.has_saving_hooks()
    assert not private_torch.has_saving_hooks()


@pytest.mark.parametrize("keeps", [True, False])
def test_a_backward_pass_says_whether_it_keeps_the_graph(keeps):
    seen = []

    class Asks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, cotangent):
            seen.append(private_torch.keeps_graph())
            return cotangent

    Asks.apply(torch.ones(2, requires_grad=True)).sum().backward(retain_graph=keeps)
    assert seen == [keeps]


def test_hooks_on_all_modules_are_seen():
    assert not private_torch.has_global_hooks()
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    assert private_torch.has_global_hooks()
    handle.remove()
    assert not private_torch.has_global_hooks()
