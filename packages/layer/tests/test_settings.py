"""Settings of a layer: what each may be (§11)."""

import flax.linen as nn
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import (
    CallArgumentError,
    DrawKeysError,
)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a"])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(DrawKeysError, match="0 <= seed < 2"):
        FlaxLayer(nn.Dense(3), seed=seed)


def test_an_unknown_state_updates_is_refused():
    with pytest.raises(CallArgumentError, match="always, training, never"):
        FlaxLayer(nn.Dense(3), state_updates="sometimes")
