"""The training flag in the attributes of an nnx module (A2)."""

import jax
import numpy as np
import pytest
from flax import nnx

from flaxlayer_core import (
    MethodSignature,
    NnxModule,
)
from flaxlayer_core.compat.private_nnx import variable_value
from packages.core.tests.modules.nnx.examples import (
    Moded,
    X,
    apply,
    call_raw,
    init,
    make,
)

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


@pytest.mark.law("A2")
@pytest.mark.parametrize("handed_over", ["train", "eval"])
@pytest.mark.parametrize("training", [False, True])
def test_the_flag_decides_and_not_the_mode_that_the_object_was_in(handed_over, training):
    given = make()
    getattr(given, handed_over)()
    module = NnxModule(given)
    variables, _ = init(module)
    rngs = {"dropout": jax.random.key(5)}
    y, updates = apply(module, variables, training=training, rngs=rngs)
    raw = make()
    nnx.reseed(raw, policy="match_shape", **rngs)
    assert (y == call_raw(raw, X, training=training)).all()
    np.testing.assert_array_equal(
        updates["batch_stats"]["norm"]["mean"], variable_value(raw.norm.mean)
    )
    assert updates["Count"]["count"] == variable_value(raw.count) == 1


class Viewed(nnx.Module):
    def __init__(self):
        self.kind = "none"

    def set_view(self, training=None):
        self.kind = "train" if training else "infer"

    def __call__(self, x):
        return x if self.kind == "train" else -x


@pytest.mark.law("A2")
def test_attributes_and_views_tell_the_mode():
    for training in (False, True):
        assert (apply(NnxModule(Moded()), {}, training=training)[0] == X * training).all()
        sign = 1 if training else -1
        assert (apply(NnxModule(Viewed()), {}, training=training)[0] == sign * X).all()


@pytest.mark.law("A2")
def test_a_named_attribute_gets_the_flag():
    module = NnxModule(Moded())
    call = MethodSignature.from_method(module, None, training_arg="~enabled")
    assert call.attribute == ("enabled", True)
    y, _ = module.apply(
        {}, (X,), {}, method="__call__", rngs={}, mutable=True, modes=call.modes(False)
    )
    assert (y == 10 * X).all()
