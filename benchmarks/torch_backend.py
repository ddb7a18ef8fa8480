"""The layer on torch, beside native Keras layers there and beside the layer on JAX (K3).

Run: `.tox/laws-torch/bin/python -m benchmarks.torch_backend`, in the environment that `./dev
laws-torch` makes. Each way runs in processes of its own, in turns.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.tensorflow_backend import best_of, flax_mlp, native_mlp
from benchmarks.timing import time_processes

__all__ = ["NAMES", "WAYS", "measure"]

WAYS = {"ours": "torch", "native": "torch", "ours_on_jax": "jax", "ours_one_thread": "torch"}
LAYERS, HEADS = 12, 4


@dataclass(frozen=True)
class _Size:
    """How large a model and its batches are; a length of zero is for an MLP."""

    batch: int
    steps: int
    width: int
    length: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length, self.width) if self.length else (self.width,)


_SIZES = {
    "MLP": _Size(64, 100, 64),
    "transformer of width 64": _Size(8, 15, 64, 32),
    "transformer of width 128": _Size(16, 8, 128, 64),
}
NAMES = tuple(f"{size}, {step}" for size in _SIZES for step in ("fit", "predict"))


def _flax_transformer(width: int) -> Any:
    import flax.linen as nn

    from flaxlayer import FlaxLayer

    class Transformer(nn.Module):
        @nn.compact
        def __call__(self, x: Any, train: bool = False) -> Any:
            for _ in range(LAYERS):
                x = x + nn.MultiHeadDotProductAttention(HEADS)(nn.LayerNorm()(x))
                x = x + nn.Dense(width)(nn.gelu(nn.Dense(4 * width)(nn.LayerNorm()(x))))
            return x

    return FlaxLayer(Transformer())


def _native_transformer(width: int) -> Any:
    import keras

    layers = keras.layers
    start = x = keras.Input((None, width))
    for _ in range(LAYERS):
        h = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(HEADS, width // HEADS)(h, h)
        h = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(width)(h)
    return keras.Model(start, x)


def _time(way: str, name: str) -> float:
    os.environ["KERAS_BACKEND"] = WAYS[way]
    import keras

    if way == "ours_one_thread":
        import torch

        torch.set_num_threads(1)
    model_name, step = name.rsplit(", ", 1)
    size = _SIZES[model_name]
    if size.length:
        layer = (_native_transformer if way == "native" else _flax_transformer)(size.width)
    else:
        layer = native_mlp() if way == "native" else flax_mlp()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size.batch * size.steps, *size.shape)).astype(np.float32)
    y = rng.normal(size=(len(x), *size.shape) if size.length else (len(x), 10)).astype(np.float32)
    model = keras.Sequential([keras.Input(size.shape), layer])
    model.compile("adam", "mse")
    if step == "predict":
        return best_of(lambda: model.predict(x, batch_size=size.batch, verbose=0), size.steps)
    return best_of(lambda: model.fit(x, y, batch_size=size.batch, verbose=0), size.steps)


def measure(name: str, rounds: int = 3) -> dict[str, float]:
    """Returns the median seconds of a step by each way."""
    return time_processes("benchmarks.torch_backend", tuple(WAYS), name, rounds)


def main() -> None:
    """Prints a table in Markdown; with a way and a name, the seconds of one step."""
    if len(sys.argv) == 3:
        print(_time(*sys.argv[1:]))
        return
    print(
        "| | FlaxLayer | native Keras | ratio | FlaxLayer on JAX | ratio "
        "| FlaxLayer, one thread of torch's |"
    )
    print("| --- " * 7 + "|")
    for name in NAMES:
        t = {way: seconds * 1e3 for way, seconds in measure(name).items()}
        print(
            f"| {name} | {t['ours']:.2f} ms | {t['native']:.2f} ms "
            f"| {t['ours'] / t['native']:.2f}x | {t['ours_on_jax']:.2f} ms "
            f"| {t['ours'] / t['ours_on_jax']:.2f}x | {t['ours_one_thread']:.2f} ms |",
            flush=True,
        )


if __name__ == "__main__":
    main()
