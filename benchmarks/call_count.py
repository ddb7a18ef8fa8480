"""What a call, a build, a save and a load run of our own: Python calls, files, changes of file.

Run: `python -m benchmarks.call_count`; with `--files` it lists the files too. Counts need no quiet
machine. They go by the folders of the two packages, wherever a function stands in them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import jax.numpy as jnp
import keras

import flaxlayer
import flaxlayer_core
from benchmarks.backend import print_backend
from benchmarks.models import MODELS
from benchmarks.nnx_models import MLP as NnxMLP
from flaxlayer import FlaxLayer

__all__ = ["CallCount", "count_calls", "measure"]

_ROOTS = {
    Path(package.__file__).parent: package.__name__ for package in (flaxlayer, flaxlayer_core)
}

# Calls of their own to Python 3.11 alone, or one for each value: they belong to their function.
_PARTS = frozenset({"<dictcomp>", "<genexpr>", "<listcomp>", "<setcomp>"})


@dataclass(frozen=True)
class CallCount:
    """What ran of the two packages, in the order in which it began.

    Attributes:
        files: The file of each call of a Python function.
    """

    files: tuple[str, ...]

    @property
    def changes(self) -> int:
        """How often a call began in another file than the one before it."""
        return sum(map(str.__ne__, self.files, self.files[1:]))

    @property
    def touched(self) -> list[str]:
        """The files, each once."""
        return sorted(set(self.files))


def count_calls(function: Callable[[], Any]) -> CallCount:
    """Runs a function under `sys.setprofile`.

    Args:
        function: What to run; what it returns is dropped.

    Returns:
        The calls that it made into `flaxlayer` and `flaxlayer_core`, in this thread.
    """
    files: list[str] = []

    def record(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_name not in _PARTS:
            files.append(frame.f_code.co_filename)

    sys.setprofile(record)
    try:
        function()
    finally:
        sys.setprofile(None)
    return CallCount(tuple(name for file in files if (name := _name(file))))


def _name(file: str) -> str:
    path = Path(file)
    root = next((root for root in _ROOTS if root in path.parents), None)
    return "" if root is None else f"{_ROOTS[root]}/{path.relative_to(root)}"


def measure(module: Any, inputs: Any) -> dict[str, CallCount]:
    """Counts what one warm layer does in each part of its life.

    Args:
        module: What `FlaxLayer` takes.
        inputs: The array that it is called on.

    Returns:
        Counts of an eager `call`, of a `build` by a first call, of a `save` of a model of one layer
        to a `.keras` file, and of a `load` of that file; each was done once before.
    """
    x = jnp.asarray(inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        for _ in range(2):  # the second finds everything warm
            layer = FlaxLayer(module)
            model = keras.Sequential([keras.Input(x.shape[1:]), FlaxLayer(module)])
            counts = {
                "build": count_calls(lambda layer=layer: layer(x)),
                "save": count_calls(lambda model=model: model.save(path)),
                "load": count_calls(lambda: keras.models.load_model(path)),
            }
        layer(x)  # an eager call finds what the call that built the layer has compiled
        return {"call": count_calls(lambda: layer(x)), **counts}


def main(*, list_files: bool = False) -> None:
    """Prints a table in Markdown.

    Args:
        list_files: Whether the files of each row follow it.
    """
    print_backend()
    print("| module | what | own calls | files | changes of file |")
    print("| --- | --- | --- | --- | --- |")
    model = MODELS["mlp"]
    for kind, module in (("linen", model.make()), ("nnx", NnxMLP)):
        for what, count in measure(module, model.inputs()).items():
            numbers = f"{len(count.files):,} | {len(count.touched)} | {count.changes:,}"
            print(f"| {kind} MLP | {what} | {numbers} |", flush=True)
            if list_files:
                print("\n".join(f"  {file} {count.files.count(file)}" for file in count.touched))


if __name__ == "__main__":
    main(list_files="--files" in sys.argv[1:])
