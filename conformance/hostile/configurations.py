"""The routes of configurations: of layers, methods and models, as JSON."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import flax.linen as nn
import keras

from conformance.hostile import modules
from conformance.hostile.route import (
    Route,
    UnreadableError,
    change_json_file,
    read_json,
    write_json,
)
from conformance.hostile.tree_changes import change_tree
from flaxlayer import FlaxLayer, FlaxMethod

__all__ = ["ROUTES", "change_model", "honest_models", "make_layers"]


def make_layers() -> dict[str, FlaxLayer]:
    """Returns built layers by name."""
    layers = {name: make() for name, make in modules.LAYERS.items()}
    inputs = keras.ops.ones((2, 6, 4))
    for name, layer in layers.items():
        layer(inputs, inputs) if name == "attention" else layer(inputs)
    layers["net"].freeze("params/Dense_0/**")
    return layers


def _make_configs(folder: Path) -> None:
    for name, layer in make_layers().items():
        write_json(folder / f"{name}.json", keras.saving.serialize_keras_object(layer))
    stranger = FlaxLayer(Stranger(), name="stranger")
    stranger.build((None, 4))
    write_json(folder / "stranger.json", keras.saving.serialize_keras_object(stranger))


class Stranger(nn.Module):
    """What no process knows that loads, unless a scope of Keras names it."""

    features: int = 3

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.features)(x)


def _load_config(path: Path, rng: random.Random) -> Any:
    stored = read_json(path)
    if not isinstance(stored, dict):
        raise UnreadableError("no object")
    scope = keras.saving.custom_object_scope({"Stranger": Stranger} if rng.random() < 0.3 else {})
    with scope:
        how = rng.random()
        if how < 0.1:
            return copy.deepcopy(keras.saving.deserialize_keras_object(stored))
        if how < 0.6:
            return keras.saving.deserialize_keras_object(stored)
        if how < 0.8:
            return keras.models.model_from_json(json.dumps(_around(stored)))
        layer = FlaxLayer.from_config(stored.get("config"))
        layer.build_from_config(stored.get("build_config"))
        return layer


def _around(layer: Any) -> dict[str, Any]:
    config = {"name": "around", "trainable": True, "layers": [layer]}
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": config,
        "registered_name": None,
    }


def _make_methods(folder: Path) -> None:
    layer = FlaxLayer(modules.Net(), name="net")
    layer.build((None, 4))
    method = layer.method("encode", name="encode")
    method(keras.ops.ones((2, 4)))
    write_json(folder / "encode.json", keras.saving.serialize_keras_object(method))
    write_json(folder / "net.json", keras.saving.serialize_keras_object(layer))


def _load_method(path: Path, rng: random.Random) -> Any:
    stored = read_json(path)
    if not isinstance(stored, dict):
        raise UnreadableError("no object")
    if rng.random() < 0.7:
        return keras.saving.deserialize_keras_object(stored)
    return FlaxMethod.from_config(stored.get("config"))


def honest_models() -> dict[str, keras.Model]:
    """Returns models by name, with Keras's own layers among ours only where they hold nothing."""
    first, second = keras.Input((4,)), keras.Input((4,))
    shared = FlaxLayer(modules.Net(), name="shared")
    encode = shared.method("encode", name="encode")
    return {
        "sequential": keras.Sequential(
            [
                keras.Input((4,)),
                FlaxLayer(nn.Dense(3), name="a"),
                FlaxLayer(modules.Net(), name="b"),
            ]
        ),
        "functional": keras.Model([first, second], modules.modal(first, second)),
        "shared": keras.Model(first, [shared(first), encode(first)]),
        "nnx": keras.Sequential(
            [keras.Input((4,)), modules.LAYERS["nnx"](), keras.layers.Identity()]
        ),
    }


def _make_models(folder: Path) -> None:
    for name, model in honest_models().items():
        (folder / f"{name}.json").write_text(model.to_json(), encoding="utf-8")


def change_model(tree: Any, rng: random.Random) -> Any:
    """Changes a model's configuration, mostly inside our layers."""
    places = list(_own_places(tree, ()))
    inside = rng.choice(places) if places and rng.random() < 0.8 else ()
    return change_tree(tree, rng, inside=inside)


def _own_places(node: Any, place: tuple[Any, ...]) -> Any:
    if isinstance(node, dict) and str(node.get("registered_name")).startswith("flaxlayer>"):
        yield place
        return
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in items:
        yield from _own_places(value, (*place, key))


def _change_model_file(source: Path, target: Path, rng: random.Random) -> None:
    change_json_file(source, target, rng, change_model)


def _load_model(path: Path, rng: random.Random) -> Any:
    text = path.read_text(encoding="utf-8")
    if rng.random() < 0.8:
        return keras.models.model_from_json(text)
    stored = read_json(path)
    try:
        layer = stored["config"]["layers"][-1]
    except (KeyError, TypeError, IndexError) as error:
        raise UnreadableError("no layers") from error
    return keras.saving.deserialize_keras_object(layer)


ROUTES = (
    Route("config", _make_configs, change_json_file, _load_config, share=30),
    Route("method", _make_methods, change_json_file, _load_method, share=8),
    Route("model", _make_models, _change_model_file, _load_model, share=12),
)
