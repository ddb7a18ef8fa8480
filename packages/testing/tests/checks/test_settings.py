"""Each setting that a configuration loses is found (S1)."""

from typing import Any

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_testing import Status, check_module
from flaxlayer_testing.checks.settings import SETTINGS

X = np.ones((2, 3), np.float32)

of_each_setting = pytest.mark.parametrize("setting", [*SETTINGS, "frozen"])


def _usual(key):
    return FlaxLayer(nn.Dense(2), name="usual").get_config()[key]


def _message(layer):
    (entry,) = check_module(nn.Dense(2), X, only=["check_settings"], layer=layer).entries
    assert entry.status is Status.FAILED
    return entry.message


@pytest.mark.law("S1")
@of_each_setting
def test_a_setting_that_is_not_stored_is_named(setting):
    class StoresTheUsual(FlaxLayer):
        def get_config(self):
            return {**super().get_config(), setting: _usual(setting)}

    assert f"does not hold the setting {setting!r}" in _message(StoresTheUsual)


@pytest.mark.law("S1")
@of_each_setting
def test_a_setting_that_is_not_loaded_is_named(setting):
    class LoadsTheUsual(FlaxLayer):
        @classmethod
        def from_config(cls, config):
            return super().from_config({**config, setting: _usual(setting)})

    assert f"lost the setting {setting!r}" in _message(LoadsTheUsual)


@pytest.mark.law("S1")
def test_a_layer_that_stores_and_loads_all_passes():
    assert check_module(nn.Dense(2), X, only=["check_settings"]).ok


class Options:
    """Lists what it was told first, and by itself in another order, as those of transformers do."""

    def __init__(self, width=2, depth=1):
        self.values = {"width": width, "depth": depth}

    def to_dict(self):
        return self.values

    @classmethod
    def from_dict(cls, values):
        made = cls()
        made.values = dict(reversed(values.items()))
        return made


class Configured(nn.Module):
    options: Any

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.options.values["width"])(x)


@pytest.mark.law("S1")
def test_options_that_come_back_in_another_order_are_not_lost():
    assert check_module(Configured(Options()), X, only=["check_settings"]).ok
