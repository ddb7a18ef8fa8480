"""What makes an nnx module like a given object, with the streams that it had (S1, R2)."""

import functools

import jax.numpy as jnp
import pytest
from flax import nnx

from flaxlayer_core import EncodeModuleError
from flaxlayer_core.compat.private_nnx import variable_value
from flaxlayer_core.modules.nnx.module_factory import ModuleFactory, init_streams, to_factory
from packages.core.tests.modules.nnx.examples import Moded

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


@pytest.mark.law("S1")
def test_a_module_that_tells_its_arguments_is_stored_as_what_makes_it():
    class Told(Moded):
        def __init__(self, width=1, *, rngs=None):
            super().__init__()
            self.width = width

        def get_config(self):
            return {"width": self.width}

    made = to_factory(Told(3))
    assert (made.func, made.args, made.keywords) == (Told, (), {"width": 3})


@pytest.mark.law("S1")
def test_a_module_that_tells_nothing_is_refused_and_what_makes_one_stays():
    with pytest.raises(EncodeModuleError, match=r"one without get_config\(\)"):
        to_factory(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    make = functools.partial(nnx.Linear, 3, 2)
    assert to_factory(make) is make


@pytest.mark.law("R2")
def test_a_module_is_made_with_the_streams_of_the_object():
    make = ModuleFactory.of(nnx.Dropout, {"rate": 0.5}, ["noise"])
    assert init_streams(make) == ("default", "noise")
    assert init_streams(make.plain) == ("default", "dropout", "params")
    again = ModuleFactory.of(nnx.Linear, {"in_features": 2, "out_features": 3}, [])
    made, plain = (factory(rngs=nnx.Rngs(0)) for factory in (again, again.plain))
    kernels = [variable_value(module.kernel) for module in (made, plain)]
    assert jnp.array_equal(*kernels)
