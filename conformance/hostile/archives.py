"""The routes of archives and weights files, which Keras reads before it asks a layer."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from conformance.hostile import modules
from conformance.hostile.archive_changes import change_archive, change_folder, change_weights_file
from conformance.hostile.configurations import honest_models
from conformance.hostile.hdf5_changes import FOREIGN
from conformance.hostile.route import Route, change_json_file, read_json, write_json
from conformance.hostile.verdict import Fault
from flaxlayer import FlaxLayer, load_reference_model

__all__ = ["ROUTES", "check_whole", "untouched"]

_UNTOUCHED = 7.25


def _filled(model: Any) -> Any:
    """Gives each weight values that no initialiser gives."""
    for number, variable in enumerate(model.weights):
        variable.assign(np.full(variable.shape, 1.5 + number).astype(variable.dtype))
    return model


def _make_archives(folder: Path) -> None:
    for name, model in honest_models().items():
        _filled(model).save(folder / f"{name}.keras")


def _make_folders(folder: Path) -> None:
    for name, model in honest_models().items():
        _filled(model).save(folder / name, zipped=False)


def _load_archive(path: Path, rng: random.Random) -> Any:
    with warnings.catch_warnings(action="ignore"):
        loaded = keras.saving.load_model(
            path, safe_mode=rng.choice([True, True, None]), compile=rng.random() < 0.5
        )
    refuse_foreign(loaded)
    return loaded


def _make_weights(folder: Path) -> None:
    for name, model in honest_models().items():
        _filled(model).save_weights(folder / f"{name}.weights.h5")


class _Models:
    """Models that weights are loaded into, made once in a process."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __call__(self, name: str) -> Any:
        if not self._known:
            self._known = honest_models()
        return untouched(self._known[name])


_models = _Models()


def untouched(model: Any) -> Any:
    """Gives each weight one value, by which a change shows."""
    for variable in model.weights:
        variable.assign(np.full(variable.shape, _UNTOUCHED).astype(variable.dtype))
    return model


def check_whole(layers: Any, *, refused: bool) -> None:
    """Compares layers with what `untouched` gave them.

    Raises:
        Fault: If a part of a layer has changed, or values of another file were read.
    """
    for layer in layers:
        changed = [not np.all(np.asarray(v.value) == _UNTOUCHED) for v in layer.weights]
        if any(changed) and not all(changed):
            raise Fault(f"a layer is half loaded: {layer.name}, refused: {refused}")
        refuse_foreign(layer)


def refuse_foreign(loaded: Any) -> None:
    """Raises where values come from the file that links lead to."""
    if any(np.any(np.asarray(v.value, np.float32) == FOREIGN) for v in loaded.weights):
        raise Fault("values of another file were read")


def _load_weights(path: Path, rng: random.Random) -> Any:
    model = _models(path.name.partition(".")[0])
    own = [layer for layer in model.layers if isinstance(layer, FlaxLayer)]
    try:
        with warnings.catch_warnings(action="ignore"):
            model.load_weights(path)
    except BaseException:
        check_whole(own, refused=True)
        raise
    check_whole(own, refused=False)
    return None


def _make_reference(folder: Path) -> None:
    tensor = keras.Input((4,))
    layer = keras.layers.FlaxLayer(modules.Referenced(), name="net")
    _filled(keras.Model(tensor, layer(tensor))).save(folder / "functional.keras")
    named = keras.layers.FlaxLayer(modules.Referenced(2), name="other", dtype="mixed_bfloat16")
    _filled(keras.Sequential([keras.Input((4,)), named])).save(folder / "sequential.keras")


def _load_reference(path: Path, rng: random.Random) -> Any:
    with warnings.catch_warnings(action="ignore"):
        loaded = load_reference_model(path)
    refuse_foreign(loaded)
    return loaded


def _make_reference_configs(folder: Path) -> None:
    layer = keras.layers.FlaxLayer(modules.Referenced(), name="net")
    layer.build((None, 4))
    write_json(folder / "net.json", layer.get_config())


def _load_reference_config(path: Path, rng: random.Random) -> Any:
    layer = FlaxLayer.from_config(read_json(path))
    layer.build((None, 4))
    return layer


ROUTES = (
    Route("keras", _make_archives, change_archive, _load_archive, share=14),
    Route("folder", _make_folders, change_folder, _load_archive, share=5),
    Route("weights", _make_weights, change_weights_file, _load_weights, share=14),
    Route("reference", _make_reference, change_archive, _load_reference, share=6),
    Route(
        "reference-config",
        _make_reference_configs,
        change_json_file,
        _load_reference_config,
        share=5,
    ),
)
