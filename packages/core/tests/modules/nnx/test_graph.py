"""Variables of an nnx module by collection and path (C1, W1)."""

import jax.numpy as jnp
import pytest
from flax import nnx

from flaxlayer_core import (
    AcceptModuleError,
    NnxModule,
)
from packages.core.tests.modules.nnx.examples import (
    Count,
    init,
    make,
)

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


@pytest.mark.law("C1")
def test_a_shared_layer_is_one_weight():
    variables, _ = init(NnxModule(make()))
    assert "tied" not in variables["params"]


@pytest.mark.law("W1")
def test_two_variables_of_one_path_are_refused():
    class First(nnx.Module):
        def __init__(self):
            self.a = nnx.data({"b": Count(jnp.zeros(1)), "c": Count(jnp.zeros(1))})

    class Second(nnx.Module):
        def __init__(self):
            self.a = nnx.data({("b",): {"c": Count(jnp.zeros(1))}, ("b", "c"): Count(jnp.zeros(1))})

    assert set(init(NnxModule(First()))[0]["Count"]["a"]) == {"b", "c"}
    with pytest.raises(AcceptModuleError, match="'Count/a/b/c' twice"):
        NnxModule(Second())
