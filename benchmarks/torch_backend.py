"""The layer on torch, beside native Keras layers there and beside the layer on JAX (K3).

Run: `.tox/laws-torch/bin/python -m benchmarks.torch_backend`, in the environment that `./dev
laws-torch` makes. Each way runs in processes of its own, in turns.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from benchmarks.tensorflow_backend import best_of, flax_mlp, native_mlp
from benchmarks.timing import time_processes

__all__ = ["NAMES", "WAYS", "measure"]

WAYS = {"ours": "torch", "native": "torch", "ours_on_jax": "jax"}
NAMES = ("MLP, fit", "MLP, predict", "transformer, fit", "transformer, predict")
LAYERS, WIDTH, HEADS = 12, 64, 4


def _flax_transformer() -> Any:
    import flax.linen as nn

    from flaxlayer import FlaxLayer

    class Transformer(nn.Module):
        @nn.compact
        def __call__(self, x: Any, train: bool = False) -> Any:
            for _ in range(LAYERS):
                x = x + nn.MultiHeadDotProductAttention(HEADS)(nn.LayerNorm()(x))
                x = x + nn.Dense(WIDTH)(nn.gelu(nn.Dense(4 * WIDTH)(nn.LayerNorm()(x))))
            return x

    return FlaxLayer(Transformer())


def _native_transformer() -> Any:
    import keras

    layers = keras.layers
    start = x = keras.Input((None, WIDTH))
    for _ in range(LAYERS):
        h = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(h, h)
        h = layers.Dense(4 * WIDTH, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(WIDTH)(h)
    return keras.Model(start, x)


def _time(way: str, name: str) -> float:
    os.environ["KERAS_BACKEND"] = WAYS[way]
    import keras

    kind, step = name.split(", ")
    native = way == "native"
    if kind == "MLP":
        batch, steps, shape, wide = 64, 100, (64,), (10,)
        layer = native_mlp() if native else flax_mlp()
    else:
        batch, steps, shape, wide = 8, 15, (32, WIDTH), (32, WIDTH)
        layer = _native_transformer() if native else _flax_transformer()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch * steps, *shape)).astype(np.float32)
    y = rng.normal(size=(batch * steps, *wide)).astype(np.float32)
    model = keras.Sequential([keras.Input(shape), layer])
    model.compile("adam", "mse")
    if step == "predict":
        return best_of(lambda: model.predict(x, batch_size=batch, verbose=0), steps)
    return best_of(lambda: model.fit(x, y, batch_size=batch, verbose=0), steps)


def measure(name: str, rounds: int = 3) -> dict[str, float]:
    """Returns the median seconds of a step by each way."""
    return time_processes("benchmarks.torch_backend", tuple(WAYS), name, rounds)


def main() -> None:
    """Prints a table in Markdown; with a way and a name, the seconds of one step."""
    if len(sys.argv) == 3:
        print(_time(*sys.argv[1:]))
        return
    print("| | FlaxLayer | native Keras | ratio | FlaxLayer on JAX | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in NAMES:
        t = {way: seconds * 1e3 for way, seconds in measure(name).items()}
        print(
            f"| {name} | {t['ours']:.2f} ms | {t['native']:.2f} ms "
            f"| {t['ours'] / t['native']:.2f}x | {t['ours_on_jax']:.2f} ms "
            f"| {t['ours'] / t['ours_on_jax']:.2f}x |",
            flush=True,
        )


if __name__ == "__main__":
    main()
