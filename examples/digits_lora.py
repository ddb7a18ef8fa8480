"""Trains an nnx transformer with Keras on real digits, then adapts it to mirrored ones by LoRA.

The data are the 1,797 images of 8 x 8 pixels that scikit-learn ships (`load_digits`). A transformer
reads the eight rows of an image as tokens. What it learned is frozen then, and low-rank updates of
its layers (Hu et al., LoRA, 2021) learn to read the same digits with rows and columns exchanged.

Run: `python examples/digits_lora.py`.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import functools
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import flaxlayer

GOAL_BASE, GOAL_ADAPTED = 0.95, 0.90


class Block(nnx.Module):
    """One layer of a transformer, with normalisation first."""

    def __init__(self, width: int, linear: Callable[..., Any], *, rngs: nnx.Rngs) -> None:
        self.first_norm = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(4, width, dropout_rate=0.1, decode=False, rngs=rngs)
        self.second_norm = nnx.LayerNorm(width, rngs=rngs)
        self.widen = linear(width, 2 * width, rngs=rngs)
        self.narrow = linear(2 * width, width, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(self.first_norm(x))
        return x + self.dropout(self.narrow(nnx.gelu(self.widen(self.second_norm(x)))))


@flaxlayer.register(package="digits")
class Reader(nnx.Module):
    """Plain NNX: reads an image row by row; nothing in it knows of Keras."""

    def __init__(
        self, width: int = 48, depth: int = 2, lora_rank: int | None = None, *, rngs: nnx.Rngs
    ) -> None:
        linear: Callable[..., Any] = nnx.Linear
        if lora_rank is not None:
            linear = functools.partial(nnx.LoRALinear, lora_rank=lora_rank)
        self.embed = linear(8, width, rngs=rngs)
        self.position = nnx.Param(0.02 * jax.random.normal(rngs.params(), (8, width)))
        self.blocks = nnx.List([Block(width, linear, rngs=rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.head = linear(width, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        x = self.embed(images) + self.position[...]
        for block in self.blocks:
            x = block(x)
        return self.head(jnp.mean(self.norm(x), axis=1))


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns training and held-out images (float32 in [0, 1]) and labels, four to one."""
    digits = load_digits()
    labels = digits.target.astype(np.int32)  # JAX has no int64 by default, and says so
    images = (digits.images / 16.0).astype(np.float32)
    x, x_test, y, y_test = train_test_split(
        images, labels, test_size=0.2, random_state=0, stratify=digits.target
    )
    return x, x_test, y, y_test


def make_model(layer: flaxlayer.FlaxLayer, rate: float) -> keras.Model:
    """Returns a compiled classifier of one layer."""
    model = keras.Sequential([keras.Input((8, 8)), layer])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


def main() -> None:
    """Trains, adapts, saves, loads, and checks each of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    epochs = parser.parse_args().epochs
    keras.utils.set_random_seed(0)
    x, x_test, y, y_test = load()
    mirrored, mirrored_test = x.swapaxes(1, 2), x_test.swapaxes(1, 2)

    base = flaxlayer.FlaxLayer(functools.partial(Reader), name="reader")
    model = make_model(base, 2e-3)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=2)
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    before = model.evaluate(mirrored_test, y_test, verbose=0)[1]

    policy = flaxlayer.CollectionPolicy(trainable=("LoRAParam",), state=("params",))
    lora = flaxlayer.FlaxLayer(
        functools.partial(Reader, lora_rank=8), collections=policy, name="reader_lora"
    )
    adapted = make_model(lora, 1e-2)
    lora.load_flax_variables(base.flax_variables())
    adapted.fit(mirrored, y, batch_size=64, epochs=epochs, verbose=2)
    after = adapted.evaluate(mirrored_test, y_test, verbose=0)[1]
    frozen = all(
        bool((left == right).all())
        for left, right in zip(
            jax.tree.leaves(base.flax_variables()["params"]),
            jax.tree.leaves(lora.flax_variables()["params"]),
            strict=True,
        )
    )
    trained = sum(int(np.prod(v.shape)) for v in lora.trainable_variables)
    total = trained + sum(int(np.prod(v.shape)) for v in jax.tree.leaves(lora.state))

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "adapted.keras")
        adapted.save(path)
        loaded = keras.saving.load_model(path)
        logits = adapted.predict(mirrored_test, verbose=0)
        same = bool((loaded.predict(mirrored_test, verbose=0) == logits).all())

    print(f"\nDigits: {accuracy:.2%} of {len(y_test)} held-out images (goal {GOAL_BASE:.0%})")
    print(f"Mirrored digits: {before:.2%} before, {after:.2%} after LoRA (goal {GOAL_ADAPTED:.0%})")
    print(f"Trained {trained:,} of {total:,} numbers; the others unchanged: {frozen}")
    print(f"Loaded model predicts the same, bit for bit: {same}")
    if not (accuracy >= GOAL_BASE and after >= GOAL_ADAPTED and frozen and same):
        raise SystemExit("A goal was missed.")


if __name__ == "__main__":
    main()
