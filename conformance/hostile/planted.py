"""Loads that break what the oracle says, one each: proof that the fuzzer can fail (T5)."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import random
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import keras
import numpy as np

from conformance.hostile.archives import check_whole, untouched
from conformance.hostile.route import Route, change_json_file, write_json
from conformance.hostile.watch import CANARY
from flaxlayer import FlaxLayer
from flaxlayer_core import DecodeModuleError, FlaxLayerError, remember

__all__ = ["FAULTS", "PLANTED"]


def _refuse(found: str = "nothing") -> None:
    raise DecodeModuleError("Refused.", found=found, law="S6")


class _Long(FlaxLayerError):
    """One that does not keep the bound."""

    def __str__(self) -> str:
        return "x" * 9_000


def _long() -> None:
    raise _Long("")


def _raw() -> None:
    raise TypeError("an error that nobody explains")


def _wrapped() -> None:
    try:
        _refuse()
    except DecodeModuleError as error:
        raise TypeError(f"around: {error}") from error


def _import() -> None:
    with contextlib.suppress(ImportError):
        importlib.import_module(CANARY)
    _refuse()


def _unpickle() -> None:
    pickle.loads(pickle.dumps(nn.Dense))


def _read_foreign() -> None:
    with open("/etc/hostname", "rb") as file:
        file.read()


def _write_outside() -> None:
    with contextlib.suppress(OSError), open("/nowhere/at all", "w"):
        pass


def _half_load() -> None:
    layer = FlaxLayer(nn.Dense(3))
    layer.build((None, 4))
    untouched(layer)
    layer.weights[0].assign(np.zeros(layer.weights[0].shape))
    check_whole([layer], refused=False)


def _change_another_model() -> None:
    for layer in gc.get_objects():
        if isinstance(layer, FlaxLayer) and layer.built:
            layer.set_weights([np.zeros(weight.shape) for weight in layer.weights])
    _refuse()


def _make_known() -> None:
    class Known(nn.Module):
        pass

    remember([Known()])
    _refuse()


def _register_with_keras() -> None:
    keras.saving.get_custom_objects()["hostile>Known"] = Known = nn.Dense
    _refuse(str(Known))


def _leave_a_thread() -> None:
    threading.Thread(target=threading.Event().wait, daemon=True, name="left").start()
    _refuse()


def _eat_memory() -> None:
    np.ones(2**33, np.float64)


def _hang() -> None:
    for _ in range(2**60):
        pass


FAULTS: Mapping[str, tuple[Callable[[], Any], str]] = {
    "raw": (_raw, "raw TypeError: an error that nobody explains"),
    "wrapped": (_wrapped, "raw TypeError around DecodeModuleError"),
    "long": (_long, "a message of 9,000 characters"),
    "import": (_import, f"import of {CANARY}"),
    "process": (lambda: subprocess.run(["true"]), "subprocess.Popen"),
    "unpickle": (_unpickle, "pickle.find_class"),
    "evaluate": (lambda: eval("1 + 1"), "exec in planted.py"),
    "read": (_read_foreign, "open /etc/hostname"),
    "write": (_write_outside, "open /nowhere/at all"),
    "half": (_half_load, "a layer is half loaded"),
    "another model": (_change_another_model, "a layer of another model has changed"),
    "known": (_make_known, "has changed what names stand for"),
    "registered": (_register_with_keras, "has changed what names stand for"),
    "thread": (_leave_a_thread, "the thread left is left"),
    "memory": (_eat_memory, "raw MemoryError"),
    "hang": (_hang, "death: SIGXCPU"),
    "crash": (os.abort, "death: SIGABRT"),
}
"""What a load does, and what must be said of it."""

_HEALTHY: Mapping[str, Callable[[], Any]] = {"refuses": _refuse, "loads": lambda: None}


def _make(folder: Path) -> None:
    write_json(folder / "anything.json", {"a": [1, 2]})


def _routes() -> Iterator[Route]:
    loads = {**_HEALTHY, **{name: load for name, (load, _) in FAULTS.items()}}
    for name, load in loads.items():

        def run(path: Path, rng: random.Random, load: Callable[[], Any] = load) -> Any:
            return load()

        yield Route(name.replace(" ", "-"), _make, change_json_file, run)


PLANTED: Mapping[str, Route] = {route.name: route for route in _routes()}
