"""Paths are frozen before the build and after it, all that a call names or nothing (C5)."""

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.weights.freezing import FrozenPaths
from flaxlayer_core import MatchPathPatternError

pytestmark = pytest.mark.law("C5")

KERNEL, BIAS = ("params", "kernel"), ("params", "bias")


@pytest.fixture
def weights():
    layer = FlaxLayer(nn.Dense(2))
    layer(np.ones((1, 3), "float32"))
    return layer._hosted.weights


def test_patterns_wait_until_there_are_weights_and_hold_in_their_order(weights):
    frozen = FrozenPaths()
    frozen.change(["params/*"], None, freeze=True, title="net")
    frozen.change(["params/bias"], None, freeze=False, title="net")
    assert not frozen.paths
    frozen.resolve(weights, title="net")
    assert frozen.paths == {KERNEL}
    assert not frozen.pending


def test_a_pattern_that_selects_nothing_changes_nothing(weights):
    frozen = FrozenPaths(paths={BIAS})
    with pytest.raises(MatchPathPatternError, match="net"):
        frozen.change(["params/kernel", "params/absent"], weights, freeze=True, title="net")
    assert frozen.paths == {BIAS}


@pytest.mark.parametrize("trainable", [True, False])
def test_what_is_frozen_trains_in_no_case_and_the_rest_as_its_layer(trainable, weights):
    frozen = FrozenPaths()
    frozen.change(["params/bias"], weights, freeze=True, title="net")
    frozen.apply(weights, trainable=trainable)
    by_path = weights.by_path()
    assert by_path[KERNEL].trainable is trainable
    assert by_path[BIAS].trainable is False


def test_a_configuration_has_what_is_frozen_and_what_waits(weights):
    frozen = FrozenPaths()
    frozen.change(["params/kernel"], None, freeze=True, title="net")
    frozen.change(["params/bias"], None, freeze=False, title="net")
    assert frozen.to_config() == ["params/kernel", {"unfreeze": "params/bias"}]
    again = FrozenPaths()
    again.wait_for(frozen.to_config())
    assert again == frozen
    frozen.resolve(weights, title="net")
    assert frozen.to_config() == ["params/kernel"]
