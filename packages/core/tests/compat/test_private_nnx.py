"""Private APIs of nnx: one behaviour each, so that a release that moves one is noticed."""

import functools

import pytest
from flax import nnx

from flaxlayer_core.compat import private_nnx


@pytest.mark.law("C3")
@pytest.mark.parametrize("jit", [nnx.jit, functools.partial(nnx.jit, static_argnums=0)])
def test_what_nnx_jit_made_tells_its_function(jit):
    def function(module):
        return module

    assert private_nnx.without_jit(jit(function)) is function
    assert private_nnx.without_jit(nnx.remat(function)) is not function
    assert private_nnx.without_jit(function) is function
