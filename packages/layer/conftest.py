"""Which tests run in this process: those of another backend and of devices have their own."""

import os

import keras

# What starts such a process, what runs in it, and whether this is one.
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
ON_DEVICES = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
OF_TENSORFLOW = [
    "tests/backends/tensorflow",
    "tests/exports/onnx/test_from_tensorflow.py",
    "tests/exports/test_traced_by_tensorflow.py",
    "src/flaxlayer/backends/tensorflow",
]

collect_ignore = ["tests/backends/test_tensorflow.py"] if ON_TENSORFLOW else OF_TENSORFLOW
if ON_TENSORFLOW or ON_DEVICES:
    collect_ignore = [*collect_ignore, "tests/weights/test_devices.py"]
if ON_TENSORFLOW or not ON_DEVICES:
    collect_ignore = [*collect_ignore, "tests/weights/test_sharding.py"]
