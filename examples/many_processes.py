"""Trains a Flax CNN on real digits in two processes, kills both, resumes, and checks the outcome.

The program starts itself twice, over loopback, with two CPU devices each: the batch is divided
among the processes, the dense layer's kernel among the devices of each. After some epochs both are
killed; two more processes go on from the last checkpoint. A file that they write is loaded in this
process, alone, and must predict what they did.

On several hosts the same program is started once on each: docs/distribution.md.

Run: `./dev demo-distributed`.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import pathlib
import signal
import socket
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

PROCESSES, DEVICES, BATCH, GOAL = 2, 2, 64, 0.95
TRAINED = 1408
"""So many images, a multiple of the batch, so that each process has as many."""


@flaxlayer.register(package="digits")
class CNN(nn.Module):
    """Plain Flax; the kernel of the dense layer names the axis that it is divided along."""

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        x = nn.Conv(16, (3, 3), use_bias=False)(images)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)
        divided = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
        x = nn.relu(nn.Dense(64, kernel_init=divided)(x))
        x = nn.Dropout(0.3, deterministic=not train)(x)
        return nn.Dense(10)(x)


class Dies(keras.callbacks.Callback):
    """Ends the process after an epoch, as a machine that fails would."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epoch:
            os.kill(os.getpid(), signal.SIGKILL)


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns training and held-out images (float32 in [0, 1]) and labels."""
    digits = load_digits()
    labels = digits.target.astype(np.int32)  # JAX has no int64 by default, and says so
    images = (digits.images / 16.0).astype(np.float32)[..., None]
    x, x_test, y, y_test = train_test_split(
        images, labels, train_size=TRAINED, random_state=0, stratify=digits.target
    )
    return x, x_test, y, y_test


def distribute() -> None:
    """Divides batches among the processes, and variables among the devices of each."""
    mesh = keras.distribution.DeviceMesh(
        (PROCESSES, DEVICES), ("batch", "model"), keras.distribution.list_devices()
    )
    layouts = keras.distribution.LayoutMap(mesh)  # empty: the module's own metadata says it
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(
            layout_map=layouts, batch_dim_name="batch", auto_shard_dataset=False
        )
    )


def train(folder: pathlib.Path, epochs: int, dies: int) -> None:
    """Runs in each process: trains from the last checkpoint on, predicts and saves."""
    keras.distribution.initialize()
    keras.utils.set_random_seed(0)
    distribute()
    index = jax.process_index()
    x, x_test, y, _ = (part[index::PROCESSES] for part in load())
    layer = flaxlayer.FlaxLayer(CNN(), name="cnn")
    model = keras.Sequential([keras.Input(x.shape[1:]), layer], name="digits")
    model.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    checkpoint = flaxlayer.TrainingCheckpoint(folder / "run")
    first = checkpoint.restore(model)
    if index == 0:
        weights = {weight.path: weight.value for weight in layer.weights}
        kernel = next(weights[path] for path in weights if path.endswith("Dense_0/kernel"))
        print(f"{len(jax.devices())} devices in {PROCESSES} processes, from epoch {first + 1} on")
        print(f"Dense_0/kernel {kernel.shape}: {kernel.addressable_shards[0].data.shape} each")
    model.fit(
        x,
        y,
        batch_size=BATCH // PROCESSES,
        initial_epoch=first,
        epochs=epochs,
        verbose=2 if index == 0 else 0,
        callbacks=[checkpoint, *([Dies(dies)] if dies > first else [])],
    )
    np.save(folder / f"logits{index}.npy", flaxlayer.predict_in_processes(model, x_test, verbose=0))
    flaxlayer.save_in_processes(model, folder / "digits.keras")


def start(folder: pathlib.Path, epochs: int, dies: int) -> list[int]:
    """Starts all processes, shows what they print, and returns how each ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    command = [sys.executable, __file__, "--folder", str(folder)]
    command += ["--epochs", str(epochs), "--dies", str(dies)]
    children = [
        subprocess.Popen(
            command,
            env={
                **os.environ,
                "XLA_FLAGS": flags,
                "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
                "KERAS_DISTRIBUTION_NUM_PROCESSES": str(PROCESSES),
                "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
            },
        )
        for index in range(PROCESSES)
    ]
    return [child.wait() for child in children]


def main() -> None:
    """Runs the whole demonstration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--dies", type=int, default=4, help="after how many epochs")
    parser.add_argument("--folder", type=pathlib.Path, help="be one of the processes")
    options = parser.parse_args()
    if options.folder:
        train(options.folder, options.epochs, options.dies)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        print(f"Two processes, which are killed after epoch {options.dies}", flush=True)
        codes = start(folder, options.epochs, options.dies)
        if not any(code < 0 for code in codes):
            sys.exit(f"They were to be killed, and ended with {codes}.")
        print("\nKilled. Two more go on from the last checkpoint", flush=True)
        codes = start(folder, options.epochs, 0)
        if any(codes):
            sys.exit(f"They ended with {codes}.")
        _, x_test, _, y_test = load()
        logits = np.empty((len(x_test), 10), np.float32)
        for index in range(PROCESSES):
            logits[index::PROCESSES] = np.load(folder / f"logits{index}.npy")
        alone = keras.models.load_model(folder / "digits.keras").predict(x_test, verbose=0)
    accuracy = float((logits.argmax(-1) == y_test).mean())
    print(f"\nHeld-out accuracy: {accuracy:.2%} of {len(x_test)} images (goal {GOAL:.0%})")
    if accuracy < GOAL:
        sys.exit("The goal was missed.")
    if not np.allclose(alone, logits, rtol=1e-4, atol=1e-4):
        sys.exit("This process predicts something else.")
    print(
        "This process, alone, loads the file and predicts the same.\n\n"
        "Next: docs/distribution.md says how layouts are chosen, and what clusters need."
    )


if __name__ == "__main__":
    main()
