"""What a distribution asks for, and the tests of sharding in a process of eight devices.

`XLA_FLAGS=--xla_force_host_platform_device_count=8 pytest packages/layer/tests/weights` runs them
directly.
"""

from pathlib import Path

import flax.linen as nn
import keras
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.weights import sharding
from flaxlayer_core import DistributeModelError
from packages.layer.tests.needs import needs_layouts

DEVICES = Path(__file__).with_name("test_sharding.py")


@pytest.mark.slow
@needs_layouts
def test_the_tests_of_several_devices_pass(passes_in_a_process):
    flags = "--xla_force_host_platform_device_count=8"
    passes_in_a_process([DEVICES], KERAS_BACKEND="jax", XLA_FLAGS=flags)


@pytest.mark.law("D1")
@pytest.mark.jax_only("it is JAX that distributes")
def test_a_keras_whose_variables_take_no_layout_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(sharding, "_TAKES_LAYOUT", False)
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(devices=keras.distribution.list_devices())
    )
    try:
        with pytest.raises(DistributeModelError, match=r"Expected: Keras 3\.10 or newer"):
            FlaxLayer(nn.Dense(2)).build((1, 3))
    finally:
        keras.distribution.set_distribution(None)
    FlaxLayer(nn.Dense(2)).build((1, 3))


@needs_layouts
@pytest.mark.law("D1")
@pytest.mark.jax_only("it is JAX that distributes")
def test_devices_that_jax_does_not_have_are_named():
    mesh = keras.distribution.DeviceMesh((2,), ("batch",), ["cpu:0", "cpu:977"])
    with pytest.raises(DistributeModelError, match="Found: cpu:977"):
        sharding.sharding_of(keras.distribution.TensorLayout(("batch",), mesh))
