"""Steps that save and load the layer, or make another of it (S4, W3, W4)."""

from __future__ import annotations

import contextlib
import copy
import pathlib
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import keras

from flaxlayer_testing.scenario.places import SURROUNDINGS, model_of
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.subject.keras_parts import global_policy

__all__ = ["load_weights", "reload"]


def _models(world: World) -> bool:
    return SURROUNDINGS["functional"].fits(world.oracle)


def _has_own_seed(world: World) -> bool:
    # Another layer without one takes another number of Keras's.
    return _models(world) and not world.drawn.global_seed


def _saved(model: keras.Model) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        return keras.models.load_model(path)


def _pickled(model: keras.Model) -> keras.Model:
    return pickle.loads(pickle.dumps(model))


def _from_json(model: keras.Model) -> keras.Model:
    again = keras.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    return again


def _cloned(model: keras.Model) -> keras.Model:
    again = keras.models.clone_model(model)
    again.set_weights(model.get_weights())
    return again


ROUTES: dict[str, Callable[[keras.Model], keras.Model]] = {
    "file": _saved,
    "json": _from_json,
    "clone": _cloned,
    "copy": copy.deepcopy,
    "pickle": _pickled,
}
"""How a model is made of another; the seed generators start anew, as those of native layers do."""


@contextlib.contextmanager
def _known(layer: Any) -> Iterator[None]:
    with keras.saving.custom_object_scope({type(layer).__name__: type(layer)}):
        yield


@scenario_step("S1", "S4", "W3", "R2", "C5", fits=_has_own_seed, route=tuple(ROUTES))
def reload(world: World, *, route: str) -> None:
    """Goes on with a layer that was saved and loaded, or copied, with the model around it."""
    with global_policy(world.drawn.policy), _known(world.held.layer):
        model = ROUTES[route](model_of(world.held.layer, world.oracle))
    layer = next(part for part in model.layers if isinstance(part, type(world.held.layer)))
    world.state = replace(world.state, draws=0)
    world.put(layer)
    world.compare(f"after the route {route!r}")


@scenario_step("W3", "W4", "R2", fits=_models)
def load_weights(world: World) -> None:
    """Goes on with a new layer of the same settings that loads the weights of this one."""
    with global_policy(world.drawn.policy), tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.weights.h5"
        model_of(world.held.layer, world.oracle).save_weights(path)
        layer = world.new_layer()
        model_of(layer, world.oracle).load_weights(path)
    started = world.started()
    world.state = replace(started, variables=world.state.variables)
    world.put(layer)
    world.compare("after load_weights")
