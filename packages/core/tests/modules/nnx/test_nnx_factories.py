"""What makes an nnx module, described and refused (S1)."""

import functools

import jax
import pytest
from flax import nnx

from flaxlayer_core import (
    AcceptModuleError,
    NnxModule,
)
from flaxlayer_core.compat.private_nnx import variable_value
from flaxlayer_core.modules.nnx.nnx_factories import abstract_module
from packages.core.tests.modules.nnx.examples import (
    Net,
)

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


def test_a_module_is_described_without_arrays():
    module = abstract_module(functools.partial(function_factory, 4))
    assert isinstance(module, Net)
    assert isinstance(variable_value(module.dense.kernel), jax.ShapeDtypeStruct)


def function_factory(width, *, rngs):
    return Net(width, rngs=rngs)


def test_a_factory_that_fails_or_makes_something_else_is_explained():
    with pytest.raises(AcceptModuleError, match="missing a required argument: 'out_features'"):
        NnxModule(functools.partial(nnx.Linear, 3))

    def makes_a_dict(rngs):
        return {"rngs": rngs}

    with pytest.raises(AcceptModuleError, match=r"Found: dict, which is no nnx\.Module"):
        NnxModule(makes_a_dict)
