"""Trains a Flax CNN with Keras on real handwritten digits, saves it, loads it elsewhere, checks it.

The data are the 1,797 images of 8 x 8 pixels that scikit-learn ships (`load_digits`: the test set
of E. Alpaydin and C. Kaynak's optical recognition of handwritten digits, UCI, 1998).

Run: `./dev demo`.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import argparse
import pathlib
import subprocess
import sys
import tempfile

import flax.linen as nn
import jax
import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import flaxlayer
from flaxlayer_testing import check_module

GOAL = 0.97


@flaxlayer.register(package="digits")
class CNN(nn.Module):
    """Plain Flax: nothing in it knows of Keras."""

    features: tuple[int, ...] = (32, 64)
    classes: int = 10

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        x = images
        for features in self.features:
            x = nn.Conv(features, (3, 3), use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)
        x = nn.Dropout(0.4, deterministic=not train)(x)
        return nn.Dense(self.classes)(x)


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns training and held-out images (float32 in [0, 1]) and labels, four to one."""
    digits = load_digits()
    labels = digits.target.astype(np.int32)  # JAX has no int64 by default, and says so
    images = (digits.images / 16.0).astype(np.float32)[..., None]
    x, x_test, y, y_test = train_test_split(
        images, labels, test_size=0.2, random_state=0, stratify=digits.target
    )
    return x, x_test, y, y_test


def train(path: pathlib.Path, epochs: int) -> np.ndarray:
    """Trains, saves to `path`, and returns the logits of the held-out images."""
    keras.utils.set_random_seed(0)
    x, x_test, y, y_test = load()
    model = keras.Sequential(
        [keras.Input(x.shape[1:]), flaxlayer.FlaxLayer(CNN(), name="cnn")], name="digits"
    )
    model.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.summary()
    model.fit(x, y, batch_size=64, epochs=epochs, validation_data=(x_test, y_test))
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    print(f"\nHeld-out accuracy: {accuracy:.2%} of {len(x_test)} images (goal {GOAL:.0%})")
    if accuracy < GOAL:
        sys.exit("The goal was missed.")
    model.save(path)
    return model.predict(x_test, verbose=0)


def predict_again(path: pathlib.Path) -> None:
    """Loads the model, predicts the held-out images, and writes the logits beside the file."""
    logits = keras.models.load_model(path).predict(load()[1], verbose=0)
    np.save(path.with_suffix(".npy"), logits)


def main() -> None:
    """Runs the whole demonstration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--load", type=pathlib.Path, help="only load this file and predict")
    options = parser.parse_args()
    if options.load:
        predict_again(options.load)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "digits.keras"
        logits = train(path, options.epochs)
        print(
            f"\nSaved {path.name} ({path.stat().st_size:,} bytes); loading it in a second process"
        )
        subprocess.run([sys.executable, __file__, "--load", str(path)], check=True)
        again = np.load(path.with_suffix(".npy"))
    if logits.tobytes() != again.tobytes():
        sys.exit("The second process predicted something else.")
    print("The second process predicts the same, bit for bit.\n")
    report = check_module(CNN(), load()[1][:4])
    print(report)
    if not report.ok:
        sys.exit("The module does not pass its checks.")
    print(
        "\nNext: `./dev docs` builds the site, with tutorials; docs/start/ready.md says how to "
        "check a module of yours."
    )


if __name__ == "__main__":
    main()
