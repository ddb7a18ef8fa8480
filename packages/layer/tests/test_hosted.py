"""What a layer and its methods share."""

import flax.linen as nn
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import (
    BuildModuleError,
)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Dense(3)(x))
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dense(2)(nn.Dropout(0.5, deterministic=not train)(x))


@pytest.mark.law("B1")
def test_what_needs_weights_says_that_there_are_none():
    with pytest.raises(BuildModuleError, match="is not built"):
        FlaxLayer(Net()).flax_variables()
