"""Classes and functions among the arguments of a call become known (S2)."""

import enum

import flax.linen as nn
import numpy as np
import pytest
from flax import struct

from flaxlayer import FlaxLayer
from flaxlayer_core import decode_value

pytestmark = pytest.mark.slow

X = np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4)


@pytest.mark.law("S2")
def test_classes_and_functions_in_the_arguments_of_a_call_become_known():
    class Mode(enum.Enum):
        FAST = 1

    def shift(x):
        return x + 1

    @struct.dataclass
    class Pair:
        first: object
        second: object

    class Takes(nn.Module):
        @nn.compact
        def __call__(self, pair, mode, act):
            return act(pair.first) * nn.Dense(4)(pair.second) * mode.value

    FlaxLayer(Takes())(Pair(X, X), mode=Mode.FAST, act=shift)
    names = [f"{each.__module__}:{each.__qualname__}" for each in (Mode, shift, Pair)]
    member = decode_value({"$type": "enum", "class": names[0], "member": "FAST"}, path="mode")
    assert member is Mode.FAST
    assert decode_value({"$type": "function", "name": names[1]}, path="act") is shift
    assert decode_value({"$type": "class", "name": names[2]}, path="pair") is Pair
