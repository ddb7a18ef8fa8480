"""What a build and each way of loading hold at their peak, beside the size of the weights (B6).

Run: `python -m benchmarks.memory`, on Linux, in the environment that `./dev bench` makes; with
numbers of layers if others are wanted. Each figure is of a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.backend import print_backend

__all__ = ["LAYERS", "WAYS", "forget_peak", "measure", "status"]

LAYERS = (6, 12, 24)
"""Of 16 MiB each."""

_WIDTH = 2048
_MIB = 1 << 20


def _module(layers: int) -> Any:
    import flax.linen as nn

    return nn.Sequential([nn.Dense(_WIDTH, use_bias=False) for _ in range(layers)])


def _flax_layer(layers: int, **settings: Any) -> Any:
    from flaxlayer import FlaxLayer

    return FlaxLayer(_module(layers), name="net", **settings)


def _model(layers: int) -> Any:
    import keras

    return keras.Sequential([keras.Input((_WIDTH,)), _flax_layer(layers)])


def _write(layers: int, folder: Path) -> None:
    """Writes the weights of a model in each format."""
    import orbax.checkpoint as ocp
    from flax import serialization, traverse_util
    from safetensors.flax import save_file

    model = _model(layers)
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    variables = model.layers[-1].flax_variables()
    (folder / "model.msgpack").write_bytes(serialization.to_bytes(variables))
    save_file(traverse_util.flatten_dict(variables, sep="/"), folder / "model.safetensors")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "orbax", variables)


def _raw_init(layers: int, folder: Path) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    x = jnp.ones((1, _WIDTH))
    return lambda: _module(layers).init(jax.random.key(0), x)


def _built(layers: int, folder: Path) -> Callable[[], Any]:
    def run() -> Any:
        layer = _flax_layer(layers)
        layer.build((None, _WIDTH))
        return layer

    return run


def _native(layers: int, folder: Path) -> Callable[[], Any]:
    import keras

    dense = keras.layers.Dense
    return lambda: keras.Sequential(
        [keras.Input((_WIDTH,)), *(dense(_WIDTH, use_bias=False) for _ in range(layers))]
    )


def _given(layers: int, folder: Path) -> Callable[[], Any]:
    variables = _raw_init(layers, folder)()

    def run() -> Any:
        layer = _flax_layer(layers, variables=variables)
        layer.build((None, _WIDTH))
        return layer

    return run


def _loaded_model(layers: int, folder: Path) -> Callable[[], Any]:
    import keras

    _flax_layer(layers)  # so that its classes are known
    return lambda: keras.models.load_model(folder / "model.keras")


def _loaded_weights(layers: int, folder: Path) -> Callable[[], Any]:
    def run() -> Any:
        model = _model(layers)
        model.load_weights(folder / "model.weights.h5")
        return model

    return run


def _loaded_tree(name: str) -> Callable[[int, Path], Callable[[], Any]]:
    def prepare(layers: int, folder: Path) -> Callable[[], Any]:
        def run() -> Any:
            layer = _flax_layer(layers)
            layer.build((None, _WIDTH))
            layer.load_flax_variables(folder / name)
            return layer

        return run

    return prepare


def _given_tree(name: str) -> Callable[[int, Path], Callable[[], Any]]:
    def prepare(layers: int, folder: Path) -> Callable[[], Any]:
        def run() -> Any:
            from flaxlayer import read_variables

            layer = _flax_layer(layers, variables=read_variables(folder / name))
            layer.build((None, _WIDTH))
            return layer

        return run

    return prepare


WAYS: dict[str, Callable[[int, Path], Callable[[], Any]]] = {
    "raw init": _raw_init,
    "native Keras": _native,
    "build": _built,
    "given variables": _given,
    "load_model": _loaded_model,
    "load_weights": _loaded_weights,
    "load safetensors": _loaded_tree("model.safetensors"),
    "load Orbax": _loaded_tree("orbax"),
    "load msgpack": _loaded_tree("model.msgpack"),
    "given safetensors": _given_tree("model.safetensors"),
    "given Orbax": _given_tree("orbax"),
    "given msgpack": _given_tree("model.msgpack"),
}


def status(name: str) -> float:
    """Returns a figure that Linux has of this process, such as `VmRSS` or its peak, in MiB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise LookupError(name)


def forget_peak() -> None:
    """Lets `VmHWM` begin anew at what is held now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _peak(way: str, layers: int, folder: Path) -> float:
    """Returns how many MiB a way holds at its peak, beyond what was there before."""
    import jax
    import keras  # noqa: F401

    import flaxlayer  # noqa: F401

    jax.block_until_ready(jax.numpy.ones(3) + 1)  # the threads of the runtime
    run = WAYS[way](layers, folder)
    forget_peak()
    before = status("VmRSS")
    made = run()
    weights = getattr(made, "weights", None)
    jax.block_until_ready(made if weights is None else [weight.value for weight in weights])
    return status("VmHWM") - before


def _in_a_process(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def measure(layers: int) -> dict[str, float]:
    """Returns the MiB that each way holds at its peak."""
    with tempfile.TemporaryDirectory() as folder:
        _in_a_process("write", str(layers), folder)
        return {
            way: float(_in_a_process(way, str(layers), folder).splitlines()[-1]) for way in WAYS
        }


def main() -> None:
    """Prints a table in Markdown; with a way, a number and a folder, the figure of this process."""
    if len(sys.argv) == 4:
        way, layers, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
        if way == "write":
            _write(layers, folder)
        else:
            print(_peak(way, layers, folder))
        return
    print_backend()
    sizes = [*map(int, sys.argv[1:])] or [*LAYERS]
    found = [measure(layers) for layers in sizes]
    heads = [f"{layers * _WIDTH * _WIDTH * 4 // _MIB} MiB" for layers in sizes]
    print(f"| | {' | '.join(heads)} | slope |")
    print("| --- " * (len(sizes) + 2) + "|")
    span = (sizes[-1] - sizes[0]) * _WIDTH * _WIDTH * 4 / _MIB
    for way in WAYS:
        peaks = [row[way] for row in found]
        slope = (peaks[-1] - peaks[0]) / span if span else float("nan")
        print(f"| {way} | {' | '.join(f'{peak:.0f}' for peak in peaks)} | {slope:.2f} |")


if __name__ == "__main__":
    main()
