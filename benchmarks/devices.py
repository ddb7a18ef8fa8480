"""What a build, a step and its compilation cost by the number of devices, in fresh processes (D1).

Run: `python -m benchmarks.devices`, with numbers of devices if others are wanted. They are devices
of one CPU: what is measured is what the program costs to make, not what the devices do in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.backend import print_backend

__all__ = ["COUNTS", "measure"]

COUNTS = (1, 8, 64)


def _time(count: int) -> None:
    """Prints the processor's seconds of a build and of the first step, and megabytes per device."""
    import jax
    import keras
    import numpy as np

    from benchmarks.models import Transformer
    from flaxlayer import FlaxLayer

    devices = keras.distribution.list_devices()
    mesh = keras.distribution.DeviceMesh((1, count), ("batch", "model"), devices)
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*Dense_0/kernel"] = (None, "model")
    layouts[".*Dense_1/kernel"] = ("model", None)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    )
    x = np.ones((2, 8, 128), np.float32)
    start = time.process_time()
    model = keras.Sequential([keras.Input(x.shape[1:]), FlaxLayer(Transformer(4))])
    model.compile("sgd", "mse")
    built = time.process_time() - start
    model.train_on_batch(x, x)
    stepped = time.process_time() - start - built
    parts = [s for v in model.variables for s in v.value.addressable_shards]
    one = sum(part.data.nbytes for part in parts if part.device == jax.devices()[0])
    print(built, stepped, one / 2**20)


def measure(count: int) -> tuple[float, ...]:
    """Returns the seconds of a build and of a first step, and the MiB of weights on one device."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    flags = f"{environment.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.devices", "one", str(count)],
        check=True,
        capture_output=True,
        text=True,
        env={**environment, "XLA_FLAGS": flags},
    )
    return tuple(map(float, done.stdout.splitlines()[-1].split()))


def main() -> None:
    """Prints a table in Markdown; with `one` and a number, the figures of this process."""
    if sys.argv[1:2] == ["one"]:
        _time(int(sys.argv[2]))
        return
    print_backend()
    print("| devices | build | first step | weights on one device |")
    print("| --- | --- | --- | --- |")
    for count in map(int, sys.argv[1:] or COUNTS):
        built, stepped, size = measure(count)
        print(f"| {count} | {built:.2f} s | {stepped:.2f} s | {size:.2f} MiB |", flush=True)


if __name__ == "__main__":
    main()
