"""The layer on TensorFlow, beside native Keras layers there and beside the layer on JAX (K2).

Run: `python -m benchmarks.tensorflow_backend`. Each way runs in processes of its own, in turns.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import time_processes

__all__ = ["NAMES", "WAYS", "best_of", "flax_mlp", "measure", "native_mlp"]

WAYS = {"ours": "tensorflow", "native": "tensorflow", "ours_on_jax": "jax"}
NAMES = ("fit", "fit, compiled by XLA", "predict, compiled by XLA", "eager call")
BATCH, STEPS = 64, 200


def flax_mlp() -> Any:
    """Returns the layer."""
    import flax.linen as nn

    from flaxlayer import FlaxLayer

    class MLP(nn.Module):
        @nn.compact
        def __call__(self, x: Any, train: bool = False) -> Any:
            for _ in range(3):
                x = nn.Dropout(0.1, deterministic=not train)(nn.relu(nn.Dense(256)(x)))
            return nn.Dense(10)(x)

    return FlaxLayer(MLP())


def native_mlp() -> Any:
    """Returns an equal layer of Keras."""
    import keras

    layers = keras.layers
    hidden = [
        layer
        for _ in range(3)
        for layer in (layers.Dense(256, activation="relu"), layers.Dropout(0.1))
    ]
    return keras.Sequential([*hidden, layers.Dense(10)])


def best_of(run: Callable[[], Any], calls: int) -> float:
    """Returns the seconds of one of some calls, in the best of five runs of them."""
    run()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) / calls)
    return min(times)


def _time(way: str, name: str) -> float:
    os.environ["KERAS_BACKEND"] = WAYS[way]
    import keras

    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * STEPS, 64)).astype(np.float32)
    y = rng.normal(size=(BATCH * STEPS, 10)).astype(np.float32)
    layer = native_mlp() if way == "native" else flax_mlp()
    model = keras.Sequential([keras.Input((64,)), layer])
    model.compile("sgd", "mse", jit_compile=name.endswith("XLA") or way == "ours_on_jax")
    if name == "eager call":
        batch = keras.ops.convert_to_tensor(x[:BATCH])
        return best_of(lambda: [np.asarray(layer(batch)) for _ in range(40)], 40)
    if name.startswith("predict"):
        return best_of(lambda: model.predict(x, batch_size=BATCH, verbose=0), STEPS)
    return best_of(lambda: model.fit(x, y, batch_size=BATCH, verbose=0), STEPS)


def measure(name: str, rounds: int = 3) -> dict[str, float]:
    """Returns the median seconds of a step or a call by each way."""
    return time_processes("benchmarks.tensorflow_backend", tuple(WAYS), name, rounds)


def main() -> None:
    """Prints a table in Markdown; with a way and a name, the seconds of one step or call."""
    if len(sys.argv) == 3:
        print(_time(*sys.argv[1:]))
        return
    print("| | FlaxLayer | native Keras | ratio | FlaxLayer on JAX |")
    print("| --- | --- | --- | --- | --- |")
    for name in NAMES:
        t = {way: seconds * 1e3 for way, seconds in measure(name).items()}
        ratio = t["ours"] / t["native"]
        print(
            f"| {name} | {t['ours']:.2f} ms | {t['native']:.2f} ms | {ratio:.2f}x "
            f"| {t['ours_on_jax']:.2f} ms |"
        )


if __name__ == "__main__":
    main()
