"""Outputs of a method are known for sizes that no call has, and None where it refuses them (A4)."""

import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core import LinenModule, MethodSignature, ModuleCall, partition
from flaxlayer_core.discovery.masks.mask_trials import outputs_at

pytestmark = pytest.mark.law("A4")


class Net(nn.Module):
    kind: str = "plain"

    @nn.compact
    def __call__(self, x, train=False):
        if self.kind == "short" and x.shape[1] > 8:
            raise ValueError("too long")
        if self.kind == "branching" and x.sum() > 0:
            x = x[:, ::2]
        if self.kind == "warning":
            warnings.warn("long", stacklevel=2)
        y = nn.Dense(2)(x)
        return y[:, :1] if train else y


def described(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def shapes(kind, *shape, modes=(False,), variables=None):
    module = LinenModule(Net(kind))
    method = MethodSignature.from_method(module, None)
    call = ModuleCall(module, method, method, partition((described(2, 4, 3),), {})[1])
    outputs = outputs_at(call, (described(*shape),), {}, variables, modes)
    return outputs and [output.shape for output in outputs]


def test_outputs_are_those_of_the_sizes_that_are_tried():
    assert shapes("plain", 6, 9, 3) == [(6, 9, 2)]
    assert shapes("plain", 6, 9, 3, modes=(True, False)) == [(6, 1, 2), (6, 9, 2)]


def test_variables_that_are_known_are_used():
    params = {"Dense_0": {"kernel": described(3, 2), "bias": described(2)}}
    assert shapes("plain", 6, 9, 3, variables={"params": params}) == [(6, 9, 2)]
    assert shapes("plain", 6, 9, 4, variables={"params": params}) is None


def test_sizes_that_a_module_refuses_have_no_outputs():
    assert shapes("short", 2, 8, 3) == [(2, 8, 2)]
    assert shapes("short", 2, 9, 3) is None


def test_a_module_that_branches_on_values_runs_on_ones():
    assert shapes("branching", 2, 6, 3) == [(2, 3, 2)]


def test_a_warning_is_no_refusal_where_warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shapes("warning", 2, 4, 3) == [(2, 4, 2)]


X = jax.ShapeDtypeStruct((2, 5, 4), jnp.float32)
OTHER = jax.ShapeDtypeStruct((3, 7, 4), jnp.float32)


class Warns(nn.Module):
    refuses: bool = False

    @nn.compact
    def __call__(self, x):
        warnings.warn("look out", UserWarning, stacklevel=1)
        if self.refuses:
            raise ValueError("no")
        return x.mean(1)


@pytest.mark.parametrize("action", ["error", "ignore"])
def test_a_warning_is_no_refusal(action, module_call):
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        call, _ = module_call(Warns(), X)
        assert outputs_at(call, (OTHER,), {}, None, [False])[0].shape == (3, 4)
        call, _ = module_call(Warns(refuses=True), X)
        assert outputs_at(call, (OTHER,), {}, None, [False]) is None
