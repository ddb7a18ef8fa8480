"""What a failed check says beside what differs: the laws, the likely cause, what to do (T8)."""

import itertools

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_testing import Status, Subject, check_module
from flaxlayer_testing.checks import models, needs
from flaxlayer_testing.run.diagnosis import is_impure

X = np.ones((2, 3), np.float32)


class _CountsCalls(nn.Module):
    numbers = itertools.count()

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x) + next(self.numbers)


class _TakesOneShape(nn.Module):
    @nn.compact
    def __call__(self, x):
        if x.shape[-1] != 4:
            raise ArithmeticError("four features")
        return nn.Dense(2)(x)


def _doubled(leaf):
    return 2 * leaf


class _Doubles(FlaxLayer):
    """Is wrong in every call."""

    def call(self, *args, **kwargs):
        return jax.tree.map(_doubled, super().call(*args, **kwargs))


@keras.saving.register_keras_serializable("test_diagnosis")
class _DoublesOnceItIsLoaded(FlaxLayer):
    """Has a setting that its configuration does not hold."""

    factor = 1

    @classmethod
    def from_config(cls, config):
        layer = super().from_config(config)
        layer.factor = 2
        return layer

    def call(self, *args, **kwargs):
        return self.factor * super().call(*args, **kwargs)


class _CastsItsOutputs(FlaxLayer):
    """Is wrong by a dtype."""

    def call(self, *args, **kwargs):
        return keras.ops.cast(super().call(*args, **kwargs), "float16")


class _Fails(FlaxLayer):
    """Is wrong by an error of its own."""

    def __call__(self, *args, **kwargs):
        raise RuntimeError("broken")


def _message(module, x=X, *, check="check_inference", layer=FlaxLayer):
    (entry,) = check_module(module, x, only=[check], layer=layer).entries
    assert entry.status is Status.FAILED
    return entry.message


@pytest.mark.law("T8")
def test_a_difference_in_bits_cites_the_laws_of_the_check_alone():
    assert _message(nn.Dense(2), layer=_Doubles).splitlines()[-1] == "Law: A1, A5, A6"


@pytest.mark.law("T8", "T4")
def test_a_difference_by_the_table_cites_the_comparison_too():
    message = _message(nn.Dense(2), check="check_stateless_call", layer=_Doubles)
    assert message.splitlines()[-1] == "Law: A6, T4"
    assert "JAX_ENABLE_X64=1" in message


@pytest.mark.law("T8")
def test_an_impure_module_is_named_as_such():
    assert is_impure(Subject(_CountsCalls(), (X,)).oracle)
    message = _message(_CountsCalls())
    assert "Likely the module is impure" in message
    assert "make_rng" in message


@pytest.mark.law("T8")
def test_a_call_that_raw_flax_refuses_is_told_from_a_layer_that_fails():
    message = _message(_TakesOneShape())
    assert "raw Flax itself does not run it (ArithmeticError: four features)" in message
    assert "Likely the layer fails where raw Flax runs" in _message(nn.Dense(2), layer=_Fails)


@pytest.mark.law("T8")
def test_a_wrong_dtype_is_told_from_a_wrong_value():
    assert "is cast on its way" in _message(nn.Dense(2), layer=_CastsItsOutputs)
    assert "another program than raw Flax" in _message(nn.Dense(2), layer=_Doubles)


@pytest.mark.law("T8")
def test_a_module_with_something_that_no_configuration_holds_is_told():
    message = _message(nn.Dense(2), check="check_saved_model", layer=_DoublesOnceItIsLoaded)
    assert "neither one of its fields nor a variable" in message


@pytest.mark.law("T8")
@pytest.mark.parametrize("room", [models, needs], ids=["a check", "a need"])
def test_an_error_of_the_harness_says_so(monkeypatch, room):
    def broken(*args):
        raise KeyError("broken")

    monkeypatch.setattr(room, "mask_of", broken)
    message = _message(nn.Dense(2), check="check_masks")
    assert "Likely the harness itself is at fault" in message
