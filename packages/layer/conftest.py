"""Which tests run in this process: those of another backend and of devices have their own."""

import os

import keras

collect_ignore = ["tests/test_tensorflow.py", "tests/test_devices.py", "tests/devices"]
if keras.backend.backend() != "tensorflow":
    collect_ignore = ["tests/tensorflow", "src/flaxlayer/backends/tensorflow"]
    several = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    collect_ignore += ["tests/test_devices.py"] if several else ["tests/devices"]
