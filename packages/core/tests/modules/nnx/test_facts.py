"""What is known of an nnx module before it runs."""

import jax
import pytest
from flax import nnx

from flaxlayer_core import (
    AcceptModuleError,
    InspectMethodError,
    NnxModule,
    Role,
)
from packages.core.tests.modules.nnx.examples import (
    Moded,
    Net,
    X,
    init,
    make,
)

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


@pytest.mark.law("R1")
def test_the_streams_of_a_module_are_known_by_their_tags():
    assert NnxModule(make()).offered_streams(init=False) == ("dropout",)
    assert NnxModule(make()).offered_streams(init=True) == ()
    assert set(NnxModule(Moded).offered_streams(init=True)) == {"default", "dropout", "params"}


@pytest.mark.law("C2")
def test_kinds_of_params_are_trainable_and_other_types_ask_their_calls():
    module = NnxModule(nnx.LoRA(3, 2, 4, rngs=nnx.Rngs(0)))
    assert module.default_role("LoRAParam") is Role.TRAINABLE
    assert NnxModule(make()).default_role("Count") is None


class KeepsDrawn(nnx.Module):
    """Draws arrays that stand in no variable: as an attribute, and in a dict of one."""

    def __init__(self, rngs):
        drawn = jax.random.normal(rngs.params(), (3,))
        self.plain = drawn
        self.by_name = nnx.data({"drawn": 2 * drawn})

    def __call__(self, x):
        return x * self.plain + self.by_name["drawn"]


@pytest.mark.law("B2")
def test_arrays_in_no_variable_are_known_before_a_module_is_made():
    module = NnxModule(KeepsDrawn)
    variables = init(module)[0]
    outputs, _ = module.apply(variables, (X,), {}, method="__call__", rngs={}, mutable=False)
    drawn = variables["arrays"]["plain"]
    assert (outputs == X * drawn + 2 * drawn).all()


@pytest.mark.law("A3")
def test_methods_are_those_of_the_class():
    module = NnxModule(make())
    assert module.resolve_method("encode") == "encode"
    assert str(module.signature("encode")) == "(x)"
    with pytest.raises(InspectMethodError, match="one of: __call__, encode"):
        module.resolve_method("train")


def test_a_flax_whose_nnx_is_too_old_is_named(monkeypatch):
    module = Net(4, rngs=nnx.Rngs(0))
    monkeypatch.delattr(nnx, "data")
    with pytest.raises(AcceptModuleError, match=r"flax >= 0\.11[\s\S]*pip install"):
        NnxModule(module)
