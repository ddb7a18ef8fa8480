"""A build that fails or is interrupted leaves the layer open, as it was (S6)."""

import flax.linen as nn
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import FlaxLayerError, MatchPathPatternError

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


def state_of(layer):
    """What a layer is, as far as one can see."""
    weights = {v.path: (keras.ops.convert_to_numpy(v), v.trainable) for v in layer.weights}
    return layer.built, layer.get_build_config(), layer._hosted.frozen.to_config(), weights


def same(left, right):
    assert left[:3] == right[:3]
    assert left[3].keys() == right[3].keys()
    for path, (value, trainable) in left[3].items():
        np.testing.assert_array_equal(value, right[3][path][0])
        assert trainable is right[3][path][1]


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(nn.Dense(3)(x))


BUILDS = {
    "other arrays": {"arrays": [[[None, 4, 4, 4], "int8"], [[2], "int8"]]},
    "a size that no machine has": {"arrays": [[[None, 2**31 - 1], "float32"]]},
    "no arrays": {"arrays": 7},
    "shape of Keras": {"input_shape": [None, {"a": 1}]},
}


@pytest.mark.law("S6")
@pytest.mark.parametrize("name", BUILDS)
def test_a_build_from_a_file_that_fails_leaves_the_layer_open(name):
    source = FlaxLayer(Net(), name="net", seed=1)
    source.build((None, 4))
    layer = FlaxLayer.from_config(source.get_config())
    before = state_of(layer)
    config = {**source.get_build_config(), **BUILDS[name]}
    if "input_shape" in config:
        del config["arguments"]
    if name == "a size that no machine has":
        config["arrays"] = [[[2**31 - 1] * 4, "float32"]]
    with pytest.raises(FlaxLayerError):
        layer.build_from_config(config)
    same(state_of(layer), before)
    layer.build_from_config(source.get_build_config())
    same(state_of(layer), state_of(source))


@pytest.mark.law("S6")
@pytest.mark.parametrize("way", ["call", "build", "file"])
def test_a_pattern_that_selects_nothing_leaves_the_layer_open(way):
    source = FlaxLayer(Net(), name="net", seed=1)
    source.build((None, 4))
    config = {**source.get_config(), "frozen": ["params/Dense_0/*", "params/none"]}
    layer = FlaxLayer.from_config(config)
    before = state_of(layer)
    begin = {
        "call": lambda: layer(X),
        "build": lambda: layer.build((None, 4)),
        "file": lambda: layer.build_from_config(source.get_build_config()),
    }[way]
    with pytest.raises(MatchPathPatternError):
        begin()
    same(state_of(layer), before)
    layer.unfreeze("params/none")
    layer._hosted.frozen.pending = [(True, "params/Dense_0/*")]
    begin()
    assert [v.trainable for v in layer.weights] == [False, False, True, True]


@pytest.mark.law("S6")
@pytest.mark.parametrize("frozen", [[], ["params/Dense_0/*"]], ids=["open", "frozen"])
@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_build_that_is_stopped_when_its_weights_are_tracked_leaves_the_layer_open(
    failure, frozen, monkeypatch
):
    config = FlaxLayer(Net(), name="net", seed=1).get_config()
    layer = FlaxLayer.from_config({**config, "frozen": frozen})
    before = state_of(layer)

    def stop(*args, **kwargs):
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(type(layer._hosted.frozen), "apply", stop)
        with pytest.raises(failure):
            layer.build((None, 4))
    same(state_of(layer), before)
    layer.build((None, 4))
    assert len(layer.weights) == 4


@pytest.mark.law("S6")
@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_subclass_whose_build_fails_after_ours_is_open_after_a_build_from_a_file(failure):
    stop = []

    class Adds(FlaxLayer):
        def build(self, input_shape=None):
            super().build(input_shape)
            self.scale = self.add_weight(shape=(2,), name="scale")
            if stop:
                raise stop[0]

    layer, source = (Adds(Net(), name="net", seed=1) for _ in range(2))
    source.build((None, 4))
    before, attributes = state_of(layer), set(vars(layer))
    stop.append(failure("after all weights were made"))
    with pytest.raises(failure):
        layer.build_from_config(source.get_build_config())
    assert set(vars(layer)) == attributes
    same(state_of(layer), before)
    stop.clear()
    layer.build_from_config(source.get_build_config())
    assert len(layer.weights) == 5
