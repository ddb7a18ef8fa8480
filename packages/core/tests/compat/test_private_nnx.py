"""Private APIs of nnx: one behaviour each, so that a release that moves one is noticed."""

import contextlib
import functools

import jax.numpy as jnp
import pytest
from flax import nnx

from flaxlayer_core.compat import private_nnx

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


@pytest.mark.law("C3")
@pytest.mark.parametrize("jit", [nnx.jit, functools.partial(nnx.jit, static_argnums=0)])
def test_what_nnx_jit_made_tells_its_function(jit):
    def function(module):
        return module

    assert private_nnx.without_jit(jit(function)) is function
    assert private_nnx.without_jit(nnx.remat(function)) is not function
    assert private_nnx.without_jit(function) is function


@pytest.mark.law("A3")
def test_a_partial_that_binds_a_method_of_its_class_is_told():
    class Net(nnx.Module):
        @nnx.jit
        def encode(self, x):
            return x

    net = Net()
    bound = net.encode
    if isinstance(bound, functools.partial):
        assert private_nnx.is_bound_by_hand(bound, nnx.Module)
    assert not private_nnx.is_bound_by_hand(functools.partial(print, net), nnx.Module)
    assert not private_nnx.is_bound_by_hand(functools.partial(print), nnx.Module)


@pytest.mark.law("R1")
def test_a_quick_count_counts_as_that_of_flax():
    quick, plain = nnx.Rngs(0), nnx.Rngs(0)
    private_nnx.use_fast_counts([quick.default])
    assert [bool((quick() == plain()).all()) for _ in range(3)] == [True] * 3
    private_nnx.use_fast_counts([quick.default], quickly=False)
    assert type(quick.default.count) is nnx.RngCount
    assert private_nnx.variable_value(quick.default.count) == 3


@pytest.mark.law("B5")
def test_the_mesh_axes_of_a_variable_are_those_of_its_metadata():
    def axes(initializer):
        # Since Flax 0.12 a variable that names axes asks for a mesh.
        off = getattr(nnx, "use_eager_sharding", None)
        with off(False) if off else contextlib.nullcontext():
            made = nnx.Linear(2, 2, kernel_init=initializer, rngs=nnx.Rngs(0))
        return private_nnx.variable_axes(made.kernel)

    plain = nnx.initializers.ones_init()
    assert axes(plain) is None
    assert axes(nnx.with_partitioning(plain, ("rows", None))) == ("rows", None)
    assert private_nnx.variable_axes(nnx.Param(jnp.ones(2))) is None
