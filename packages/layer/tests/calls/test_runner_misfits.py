"""A call on inputs of another form than those of the build is explained (§11)."""

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import (
    CallArgumentError,
)

X = np.ones((2, 4), np.float32)


def test_inputs_of_another_form_than_built_are_explained(same_bits):
    layer = FlaxLayer(nn.Dense(3), name="dense")
    layer(X)
    before = layer.flax_variables()
    with pytest.raises(CallArgumentError) as caught:
        layer(np.ones((2, 5), np.float32))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(
        "Layer 'dense' (Dense.__call__) failed on inputs of another form than it was built with"
    )
    assert lines[1:3] == ["Expected: float32[2,4]", "Found: float32[2,5]"]
    same_bits(layer.flax_variables(), before)
    assert layer(X).shape == (2, 3)


class TakesTwo(nn.Module):
    @nn.compact
    def __call__(self, inputs):
        return nn.Dense(2)(inputs["a"]) + nn.Dense(2)(inputs["b"])


@pytest.mark.law("A1")
@pytest.mark.parametrize("found", [{}, {"a": np.ones((2, 4), np.float32)}, None])
def test_whatever_the_module_raises_the_form_of_the_inputs_is_named(found):
    x = np.ones((2, 4), np.float32)
    layer = FlaxLayer(TakesTwo(), name="two")
    layer({"a": x, "b": x})
    with pytest.raises(CallArgumentError, match=r"'two' .* of another form than it was built"):
        layer(found)
