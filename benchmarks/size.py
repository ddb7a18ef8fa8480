"""A transformer of about a billion parameters in bfloat16: what it holds at its peak (B5, B6, D3).

Run: `python -m benchmarks.size`, on Linux, in the environment that `./dev bench` makes; with a
number of layers if another is wanted. It is built, called and saved in a process of one device, in
one of eight, and in two of four each, among which its products are divided.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.backend import print_backend
from benchmarks.memory import forget_peak, status

__all__ = ["LAYERS", "PLACES", "measure"]

LAYERS = 16
PLACES = {"one device": (1, 1), "8 devices": (1, 8), "2 processes of 4 devices": (2, 4)}
"""How many processes there are, and how many devices each of them has."""

_WIDTH, _HEADS, _LENGTH = 2304, 16, 16


def _module(layers: int) -> Any:
    import flax.linen as nn
    import jax
    import jax.numpy as jnp

    kinds = {"dtype": jnp.bfloat16, "param_dtype": jnp.bfloat16}

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            attend = nn.MultiHeadDotProductAttention(_HEADS, name="attention", **kinds)
            x = x + attend(nn.LayerNorm(**kinds)(x))
            hidden = nn.gelu(nn.Dense(4 * _WIDTH, name="wide", **kinds)(nn.LayerNorm(**kinds)(x)))
            return x + nn.Dense(_WIDTH, name="narrow", **kinds)(hidden)

    class Transformer(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            for number in range(layers):
                x = Block(name=f"block_{number}")(x)
            return x

    return Transformer()


def _divide() -> None:
    """Divides the products along all devices of all processes."""
    import keras

    devices = keras.distribution.list_devices()
    if len(devices) == 1:
        return
    mesh = keras.distribution.DeviceMesh((1, len(devices)), ("batch", "model"), devices)
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*wide/kernel"] = (None, "model")
    layouts[".*narrow/kernel"] = ("model", None)
    layouts[".*(query|key|value)/kernel"] = (None, "model", None)
    layouts[".*out/kernel"] = ("model", None, None)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(
            layout_map=layouts, batch_dim_name="batch", auto_shard_dataset=False
        )
    )


def _run(layers: int, folder: Path) -> None:
    """Prints the MiB of the weights here, and the peak and seconds of each step."""
    import jax
    import keras
    import numpy as np

    from flaxlayer import FlaxLayer, save_in_processes

    if os.environ.get("KERAS_DISTRIBUTION_JOB_ADDRESSES"):
        keras.distribution.initialize()
    _divide()
    jax.block_until_ready(jax.numpy.ones(3) + 1)
    forget_peak()
    before, figures = status("VmRSS"), []

    def note(start: float) -> None:
        figures.append(f"{status('VmHWM') - before:.0f} {time.perf_counter() - start:.1f}")

    start = time.perf_counter()
    layer = FlaxLayer(_module(layers), name="net")
    layer.build((1, _LENGTH, _WIDTH))
    jax.block_until_ready([variable.value for variable in layer.weights])
    note(start)
    start = time.perf_counter()
    jax.block_until_ready(layer(np.ones((1, _LENGTH, _WIDTH), "bfloat16")))
    note(start)
    start = time.perf_counter()
    model = keras.Sequential([layer])
    model.build((1, _LENGTH, _WIDTH))
    save_in_processes(model, folder / "model.weights.h5")
    note(start)
    shards = [s for v in layer.weights for s in v.value.addressable_shards]
    held = sum(shard.data.nbytes for shard in shards) / 2**20
    numbers = sum(np.prod(v.shape) for v in layer.weights)
    print(f"{numbers / 1e6:.0f} {held:.0f} {' '.join(figures)}")


def _start(index: int, count: int, devices: int, port: int, *arguments: str) -> Any:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "XLA_FLAGS": flags}
    if count > 1:
        environment |= {
            "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{port}",
            "KERAS_DISTRIBUTION_NUM_PROCESSES": str(count),
            "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
        }
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.size", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def measure(place: str, layers: int = LAYERS) -> list[str]:
    """Returns what each process of a place prints of itself."""
    count, devices = PLACES[place]
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        runs = [
            _start(index, count, devices, port, "one", str(layers), folder)
            for index in range(count)
        ]
        lines = [run.communicate()[0].splitlines()[-1:] for run in runs]
    if any(run.returncode for run in runs):
        raise RuntimeError(f"a process of {place} ended with {[r.returncode for r in runs]}")
    return [line[0] for line in lines]


def main() -> None:
    """Prints a table in Markdown; with `one`, a number and a folder, its own figures."""
    if sys.argv[1:2] == ["one"]:
        _run(int(sys.argv[2]), Path(sys.argv[3]))
        return
    layers = int(sys.argv[1]) if sys.argv[1:] else LAYERS
    print_backend()
    print("| | parameters | weights here | peak of a build | with a call | with a file |")
    print("| --- " * 6 + "|")
    for place in PLACES:
        for index, line in enumerate(measure(place, layers)):
            numbers, held, *figures = line.split()
            cells = [
                f"{float(peak) / float(held):.2f}x ({peak} MiB, {seconds} s)"
                for peak, seconds in zip(figures[::2], figures[1::2], strict=True)
            ]
            name = f"{place}, process {index}" if PLACES[place][0] > 1 else place
            print(f"| {name} | {numbers} M | {held} MiB | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
