"""Weights and state that are frozen by path, or with the layer (C5)."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import MatchPathPatternError

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(3)(x)
        self.sow("intermediates", "hidden", x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        self.sow("losses", "square", jnp.mean(x**2))
        self.sow("losses", "abs", jnp.mean(jnp.abs(x)))
        return x


@pytest.mark.law("C5")
def test_a_frozen_layer_changes_neither_params_nor_state(same_bits):
    layer = FlaxLayer(Normed())
    model = keras.Sequential([layer, keras.layers.Dense(1)])
    model.build((None, 4))
    layer.trainable = False
    model.compile("sgd", "mse")
    before = layer.flax_variables()
    model.fit(X, X[:, :1], epochs=2, verbose=0)
    layer(X, training=True)
    same_bits(layer.flax_variables(), before)


@pytest.mark.law("C5")
def test_weights_and_state_freeze_by_path_and_only_they():
    layer = FlaxLayer(Normed())
    layer.freeze("params/Dense_0", "**/mean")
    model = keras.Sequential([layer])
    model.build((None, 4))
    model.compile("sgd", "mse")
    before = layer.flax_variables()
    model.fit(X, X[:, :3], epochs=2, verbose=0)
    after = layer.flax_variables()
    same = jax.tree.map(lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), before, after)
    assert same == {
        "params": {
            "Dense_0": {"bias": True, "kernel": True},
            "BatchNorm_0": {"bias": False, "scale": False},
        },
        "batch_stats": {"BatchNorm_0": {"mean": True, "var": False}},
    }


@pytest.mark.law("C5")
def test_what_is_frozen_by_path_stays_frozen_when_the_layer_is_thawed():
    layer = FlaxLayer(Normed(), name="net")
    layer(X)
    layer.freeze("params/Dense_0")
    layer.trainable = False
    assert layer.trainable_variables == []
    layer.trainable = True
    paths = [variable.path for variable in layer.trainable_variables]
    assert paths == ["net/params/BatchNorm_0/bias", "net/params/BatchNorm_0/scale"]
    layer.unfreeze("params/Dense_0/bias")
    assert len(layer.trainable_variables) == 3


@pytest.mark.law("C5")
def test_a_layer_that_is_built_frozen_can_be_thawed():
    layer = FlaxLayer(Normed(), trainable=False)
    layer(X)
    assert layer.trainable_variables == []
    layer.trainable = True
    assert len(layer.trainable_variables) == 4


@pytest.mark.law("C5")
def test_a_pattern_that_matches_nothing_freezes_nothing():
    layer = FlaxLayer(Normed())
    layer(X)
    with pytest.raises(MatchPathPatternError, match="'params/Dens/'"):
        layer.freeze("params/BatchNorm_0", "params/Dens/")
    assert len(layer.trainable_variables) == 4


@pytest.mark.law("C5", "S1")
def test_a_layer_that_is_not_built_keeps_what_is_thawed_again():
    layer = FlaxLayer(Normed(), name="net")
    layer.freeze("params/**", "batch_stats")
    layer.unfreeze("params/Dense_0", "**/bias")
    layer.freeze("params/Dense_0/bias")
    again = FlaxLayer.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.get_config() == layer.get_config()
    for each in (layer, again):
        each(X)
        paths = [variable.path for variable in each.trainable_variables]
        assert paths == ["net/params/BatchNorm_0/bias", "net/params/Dense_0/kernel"]


@pytest.mark.law("C5")
@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("pattern", [5, None, ["params"]], ids=["int", "none", "list"])
def test_a_pattern_that_is_no_text_freezes_nothing(pattern, built):
    layer = FlaxLayer(Normed(), name="net")
    if built:
        layer(X)
    with pytest.raises(MatchPathPatternError, match=r"'net'.*\n.*a text, such as"):
        layer.freeze("params/Dense_0", pattern)
    layer(X)
    assert len(layer.trainable_variables) == 4
