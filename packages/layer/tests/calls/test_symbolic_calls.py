"""What a call with Keras tensors returns (A5, B1)."""

import flax.linen as nn
import keras
import pytest

from flaxlayer import FlaxLayer


@pytest.mark.law("B1")
def test_unknown_dimensions_stay_unknown_in_the_outputs():
    class Image(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Conv(3, (3, 3), strides=2)(x), x.mean((1, 2))

    maps, mean = FlaxLayer(Image())(keras.Input((None, 8, 1)))
    assert maps.shape == (None, None, 4, 3)
    assert mean.shape == (None, 1)
