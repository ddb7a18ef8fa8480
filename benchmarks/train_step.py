"""A step of `fit`, beside a hand-written jitted Flax and Optax loop on the same data.

Run: `python -m benchmarks.train_step`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax

from benchmarks.backend import print_backend
from flaxlayer import FlaxLayer

__all__ = ["BATCH", "STEPS", "fit_epoch", "make_data", "measure", "time_epochs"]

BATCH, STEPS, CLASSES = 64, 60, 10


class CNN(nn.Module):
    """A small image classifier."""

    @nn.compact
    def __call__(self, inputs: jax.Array, training: bool = False) -> jax.Array:
        x = inputs
        for features in (16, 32):
            x = nn.Conv(features, (3, 3))(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not training)(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.Dropout(0.3, deterministic=not training)(x.reshape(x.shape[0], -1))
        return nn.Dense(CLASSES)(x)


def make_data() -> tuple[np.ndarray, np.ndarray]:
    """Returns random images and labels for one epoch."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * STEPS, 16, 16, 1)).astype(np.float32)
    return x, rng.integers(0, CLASSES, BATCH * STEPS)


def _raw_epoch(module: nn.Module, x: np.ndarray, y: np.ndarray) -> Any:
    """Returns a function that trains for one epoch and returns its seconds a step."""
    optimizer = optax.adam(1e-3)
    variables = module.init(jax.random.key(0), x[:BATCH], training=True)
    state = (variables["params"], variables["batch_stats"])
    opt_state = optimizer.init(state[0])

    def step(state: Any, opt_state: Any, x: Any, y: Any, key: Any) -> Any:
        def loss(params: Any) -> Any:
            logits, updates = module.apply(
                {"params": params, "batch_stats": state[1]},
                x,
                training=True,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return losses.mean(), updates["batch_stats"]

        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(state[0])
        updates, opt_state = optimizer.update(grads, opt_state)
        return (optax.apply_updates(state[0], updates), stats), opt_state, value

    compiled = jax.jit(step, donate_argnums=(0, 1))
    memory = [state, opt_state]

    def epoch() -> float:
        start = time.perf_counter()
        for i in range(STEPS):
            rows = slice(i * BATCH, (i + 1) * BATCH)
            key = jax.random.fold_in(jax.random.key(1), i)
            *memory[:], value = compiled(*memory, jnp.asarray(x[rows]), jnp.asarray(y[rows]), key)
        jax.block_until_ready(value)
        return (time.perf_counter() - start) / STEPS

    return epoch


def fit_epoch(layer: keras.layers.Layer, x: np.ndarray, y: np.ndarray) -> Any:
    """Returns a function that fits for one epoch and returns its seconds a step."""
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)

    def epoch() -> float:
        start = time.perf_counter()
        model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0, shuffle=False)
        return (time.perf_counter() - start) / STEPS

    return epoch


def measure(rounds: int = 9) -> dict[str, float]:
    """Returns median seconds of one step: `raw`, `ours` and `reference`."""
    x, y = make_data()
    epochs = {
        "raw": _raw_epoch(CNN(), x, y),
        "ours": fit_epoch(FlaxLayer(CNN()), x, y),
        "reference": fit_epoch(keras.layers.FlaxLayer(CNN()), x, y),
    }
    return time_epochs(epochs, rounds=rounds)


def time_epochs(epochs: Mapping[str, Callable[[], float]], *, rounds: int = 9) -> dict[str, float]:
    """Returns the median of what each function returns, called in turns."""
    for epoch in epochs.values():
        epoch()
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for _ in range(rounds):
        for name, epoch in epochs.items():
            times[name].append(epoch())
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def main() -> None:
    """Prints a table in Markdown."""
    print_backend()
    t = {name: seconds * 1e3 for name, seconds in measure().items()}
    print("| step | Flax + Optax loop | fit with FlaxLayer | fit with the reference |")
    print("| --- | --- | --- | --- |")
    ratio, reference = t["ours"] / t["raw"], t["reference"] / t["raw"]
    print(
        f"| CNN, batch {BATCH} | {t['raw']:.2f} ms | {t['ours']:.2f} ms ({ratio:.2f}x) | "
        f"{t['reference']:.2f} ms ({reference:.2f}x) |"
    )


if __name__ == "__main__":
    main()
