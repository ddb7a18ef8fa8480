"""Opens a saved model in a process that knows nothing but what it registers (S2).

A process for each model would import Keras and JAX for each: they are imported once, in a process
from which the others are forked.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import traceback
from collections.abc import Sequence
from typing import Any

__all__ = ["load_elsewhere"]

PRELOADED = ("flaxlayer", "keras")
SECONDS = 300


def load_elsewhere(path: str, names: Sequence[str], inputs: Sequence[Any]) -> tuple[Any, list[str]]:
    """Loads a model in a process of its own.

    Args:
        path: Of the `.keras` file.
        names: What it registers, as `package.module:Name`.
        inputs: The arrays that it predicts from.

    Returns:
        What it predicts, and the paths of the weights that it would train.

    Raises:
        AssertionError: If it cannot; with the error of that process.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = _processes().Process(target=_answer, args=(sender, path, names, inputs))
    process.start()
    sender.close()
    try:
        answered = receiver.poll(SECONDS)
        found = receiver.recv() if answered else f"no answer in {SECONDS} s"
    except EOFError:
        found = "it ended without an answer"
    finally:
        process.terminate()
        process.join()
    assert not isinstance(found, str), f"the model cannot be loaded elsewhere: {found}"
    return found


@functools.cache
def _processes() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _answer(sender: Any, path: str, names: Sequence[str], inputs: Sequence[Any]) -> None:
    try:
        found = _predict(path, names, inputs)
    except Exception:
        found = traceback.format_exc()[-4000:]
    sender.send(found)


def _predict(path: str, names: Sequence[str], inputs: Sequence[Any]) -> tuple[Any, list[str]]:
    flaxlayer, keras = map(importlib.import_module, PRELOADED)
    numpy = importlib.import_module("numpy")
    for name in names:
        module, _, attribute = name.partition(":")
        flaxlayer.register(getattr(importlib.import_module(module), attribute))
    model = keras.models.load_model(path)
    outputs = keras.ops.convert_to_numpy(model(list(inputs), training=False))
    return numpy.array(outputs), [weight.path for weight in model.trainable_weights]
