"""The tests of sharding, in a process that has eight devices.

`XLA_FLAGS=--xla_force_host_platform_device_count=8 pytest packages/layer/tests/weights` runs them
directly.
"""

from pathlib import Path

import pytest
from flax import nnx

pytestmark = pytest.mark.slow

DEVICES = Path(__file__).with_name("test_sharding.py")


@pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")
def test_the_tests_of_several_devices_pass(passes_in_a_process):
    flags = "--xla_force_host_platform_device_count=8"
    passes_in_a_process([DEVICES], KERAS_BACKEND="jax", XLA_FLAGS=flags)
