"""A layer is built by a call: once, or again where its dtypes were supposed wrongly (A10)."""

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.calls.settling import Settler
from flaxlayer.compat import private_keras
from flaxlayer_core import BuildModuleError, partition

X = np.ones((2, 3), np.float32)


class Recorder:
    """Keeps what a layer is built for, and builds it."""

    def __init__(self, layer):
        self._build = layer._builder.build_for
        self.inputs = []

    def build_for(self, inputs):
        self.inputs.append(inputs)
        self._build(inputs)


class Same(nn.Module):
    @nn.compact
    def __call__(self, x):
        self.param("unused", nn.initializers.ones, ())
        return x


@pytest.fixture
def layer():
    return FlaxLayer(Same(), name="same")


@pytest.fixture
def settling(layer):
    recorder = Recorder(layer)
    settler = Settler(layer._runner, recorder)

    def settle(*args):
        settler.settle(*partition(args, {}))
        return settler.settled

    return settle, recorder.inputs


def told(inputs):
    return [(tuple(map(str, each.specs)), each.values is None, each.guessed) for each in inputs]


@pytest.mark.law("B3")
def test_a_call_builds_the_layer_for_its_arrays_and_only_once(settling):
    settle, inputs = settling
    assert settle(X)
    assert settle(X) and settle(np.ones((7, 3), np.float32))
    assert told(inputs) == [(("float32[2,3]",), False, False)]
    assert inputs[0].called
    np.testing.assert_array_equal(inputs[0].values[0], X)


@pytest.mark.law("B1")
def test_an_abstract_call_has_no_values(settling):
    settle, inputs = settling
    assert settle(jax.ShapeDtypeStruct((2, 3), "int32"))
    assert told(inputs) == [(("int32[2,3]",), True, False)]


@pytest.mark.law("A10")
def test_a_wrong_guess_is_put_right_by_the_first_call_and_no_later_one(layer, settling):
    settle, inputs = settling
    layer.build((None, 3))
    assert settle(X.astype(np.int32))
    assert told(inputs) == [(("int32[?,3]",), False, False)]
    settle(X)
    assert len(inputs) == 1


@pytest.mark.law("A10")
def test_a_right_guess_is_kept(layer, settling):
    settle, inputs = settling
    layer.build((None, 3))
    kept = layer.weights[0]
    assert settle(X)
    assert inputs == []
    assert layer.weights[0] is kept


@pytest.mark.law("A9")
def test_what_a_build_fails_with_names_the_layer_which_stays_open():
    layer = FlaxLayer(nn.Conv(3, (3, 3)), name="conv")
    with pytest.raises(BuildModuleError, match="'conv'"):
        layer._settler.settle(*partition((np.ones(5, np.float32),), {}))
    assert not layer._settler.settled
    layer._settler.settle(*partition((np.ones((1, 8, 8, 1), np.float32),), {}))
    assert layer._settler.settled


@pytest.mark.law("A10")
def test_in_a_symbolic_scope_the_dtypes_are_only_supposed(settling, monkeypatch):
    settle, inputs = settling
    monkeypatch.setattr(private_keras, "in_symbolic_scope", lambda: True)
    assert not settle(keras.KerasTensor((2, 3), "float32"))
    assert [guessed for _, _, guessed in told(inputs)] == [True]
