"""What a layer holds is told apart from what the laws say, with the law."""

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import CallArgumentError
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.scenario.comparisons import (
    compare_carried,
    compare_seed,
    compare_trained,
    is_explained,
    unexplained,
)

PATHS = ["params/bias", "params/kernel"]
MASK = np.array([[True, False]])


@pytest.fixture
def layer():
    layer = FlaxLayer(nn.Dense(2), seed=5)
    layer.build((None, 3))
    return layer


def test_another_seed_or_draw_is_told(layer):
    compare_seed(layer, [5, 0], "now")
    with pytest.raises(KeepLawError, match=r"another now(.|\n)*\[5, 1\](.|\n)*R2"):
        compare_seed(layer, [5, 1], "now")


def test_other_trainable_variables_are_told(layer):
    compare_trained(layer, PATHS, "now")
    layer.freeze("params/bias")
    compare_trained(layer, PATHS[1:], "now")
    with pytest.raises(KeepLawError, match=r"trainable now(.|\n)*C5"):
        compare_trained(layer, PATHS, "now")


def test_other_masks_are_told():
    compare_carried([MASK, None, MASK], MASK, [True, False])
    for found in ([None, None], [MASK, MASK], [~MASK, None]):
        with pytest.raises(KeepLawError, match=r"other masks(.|\n)*A4"):
            compare_carried(found, MASK, [True, False])


def test_an_explained_error_names_a_law():
    ours = CallArgumentError("Wrong.", expected="a", found="b", fix="c", law="A1")
    assert is_explained(ours)
    assert is_explained(ValueError(str(ours)))
    assert not is_explained(ValueError("Wrong."))
    assert "Law: A9" in str(unexplained("it", "no error", "A9"))
