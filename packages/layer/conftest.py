"""Which tests run in this process: those of another backend and of devices have their own."""

import os

import keras

# What starts such a process, what runs in it, and whether this is one.
BACKEND = keras.backend.backend()
ON_DEVICES = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
OF_BACKENDS = {
    "tensorflow": [
        "tests/backends/tensorflow",
        "tests/exports/onnx/test_from_tensorflow.py",
        "tests/exports/test_traced_by_tensorflow.py",
        "src/flaxlayer/backends/tensorflow",
    ],
    "torch": [
        "tests/backends/torch",
        "tests/compat/test_private_torch.py",
        "tests/torch_arrays.py",
        "src/flaxlayer/backends/torch",
        "src/flaxlayer/compat/private_torch.py",
    ],
}

collect_ignore = [path for name in OF_BACKENDS if name != BACKEND for path in OF_BACKENDS[name]]
if BACKEND != "jax":
    collect_ignore += ["tests/backends/test_tensorflow.py"]
if BACKEND != "jax" or ON_DEVICES:
    collect_ignore += ["tests/weights/test_devices.py"]
if BACKEND != "jax" or not ON_DEVICES:
    collect_ignore += ["tests/weights/test_sharding.py"]
