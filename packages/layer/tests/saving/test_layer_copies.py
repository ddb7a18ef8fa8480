"""A layer on its own is copied and pickled, with what no file can hold (S4)."""

import copy
import pickle

import flax.linen as nn
import jax.numpy as jnp
import keras
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import EncodeModuleError
from packages.layer.tests.saving.models_by_route import (
    Net,
    X,
    scramble,
)


@pytest.mark.law("S4")
@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_layer_on_its_own_is_copied_and_pickled(make_copy, same_bits):
    layer = FlaxLayer(Net(), seed=1)
    layer(X)
    scramble(layer)
    copied = make_copy(layer)
    same_bits(copied.flax_variables(), layer.flax_variables())
    same_bits(copied(X), layer(X))
    copied.params["params"]["Dense_0"]["bias"].assign(jnp.zeros(4))
    assert layer.params["params"]["Dense_0"]["bias"].numpy().any()


class Unstorable:
    """Nothing tells how it is stored, but it can be copied."""

    def __init__(self, factor):
        self.factor = factor


class Scaling(nn.Module):
    settings: object
    train_only: object = None

    @nn.compact
    def __call__(self, x):
        return self.settings.factor * nn.Dense(2)(x)

    def doubled(self, x):
        return 2 * self(x)


@keras.saving.register_keras_serializable("flaxlayer_tests")
class Noted(FlaxLayer):
    def __init__(self, module, *, note="", **kwargs):
        super().__init__(module, **kwargs)
        self.note = note

    def get_config(self):
        return {**super().get_config(), "note": self.note}


@pytest.mark.law("S4")
@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_layer_is_copied_with_an_object_that_no_file_can_hold(make_copy, built, same_bits):
    layer = Noted(Scaling(Unstorable(3.0)), note="mine", method="doubled", seed=1)
    if built:
        layer(X)
        scramble(layer)
    with pytest.raises(EncodeModuleError):
        layer.get_config()
    copied = make_copy(layer)
    assert (copied.built, copied.note, copied.name) == (built, "mine", layer.name)
    assert copied.module.settings.factor == 3.0
    same_bits(copied(X), layer(X))
    same_bits(copied.flax_variables(), layer.flax_variables())


@pytest.mark.law("S4")
def test_a_lambda_in_a_field_is_copied_and_not_pickled():
    layer = FlaxLayer(Scaling(Unstorable(3.0), lambda x: x))
    assert copy.deepcopy(layer).module.train_only is layer.module.train_only
    with pytest.raises(EncodeModuleError):
        pickle.dumps(layer)


@pytest.mark.law("S4")
def test_an_unbuilt_layer_is_copied_unbuilt():
    copied = copy.deepcopy(FlaxLayer(Net(), name="net"))
    assert (copied.built, copied.name, copied(X).shape) == (False, "net", (3, 2))
