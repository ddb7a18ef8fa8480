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

import jax
import keras

from flaxlayer_testing.scenario.fresh_process import Loading, load_afresh
from flaxlayer_testing.scenario.places import SURROUNDINGS, called, holder_of, model_of
from flaxlayer_testing.scenario.script import Script
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.subject.import_paths import import_path
from flaxlayer_testing.subject.keras_parts import global_policy
from flaxlayer_testing.subject.layer import arrays_of

__all__ = ["load_in_fresh_process", "load_weights", "reload"]


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


def _reload_text(script: Script, *, route: str) -> list[str]:
    return [
        *script.arguments(),
        f"layer = reloaded({script.model}, layer, {route!r})",
        *script.placed(),
        script.holds(replace(script.world.state, draws=0)),
    ]


@scenario_step(
    *("S1", "S4", "W3", "R2", "C5"), fits=_has_own_seed, route=tuple(ROUTES), text=_reload_text
)
def reload(world: World, *, route: str) -> None:
    """Goes on with a layer that was saved and loaded, or copied, with the model around it."""
    with global_policy(world.drawn.policy), _known(world.held.layer):
        model = ROUTES[route](model_of(world.held.layer, world.site))
    layer = next(part for part in model.layers if isinstance(part, type(world.held.layer)))
    world.state = replace(world.state, draws=0)
    world.put(layer)
    world.compare(f"after the route {route!r}")


def _can_be_afresh(world: World) -> bool:
    # Another process imports the layer; a model with typed keys for arguments calls itself.
    return _has_own_seed(world) and import_path(world.subject.layer) is not None


def _afresh_text(script: Script, *, known: str) -> list[str]:
    world = script.world
    size = world.case.batch_size
    raw = world.call_with(batch=size, seed=1)
    new = replace(world.state, draws=0)
    call = script.applied(new, raw, *script.seen(raw, training=False), training=False)
    return [
        *script.arguments(),
        f"model_of_layer = {script.model}",
        *script.arguments(world.case_with(batch=size, seed=1)),
        "arrays, _ = split((inputs, arguments))",
        f"outputs, found = loaded_elsewhere(model_of_layer, arrays, {known == 'registered'})",
        "same(variables, found)",
        f"expected, updates = {call}",
        *script.sown(),
        "same(arrays_of(expected), outputs)",
    ]


@scenario_step(
    *("S2", "S4"),
    fits=_can_be_afresh,
    slow=True,
    known=("registered", "given"),
    text=_afresh_text,
)
def load_in_fresh_process(world: World, *, known: str) -> None:
    """Saves the layer in a model, and calls that in a process that loads it."""
    raw, home = (
        world.call_with(batch=world.case.batch_size, seed=1),
        import_path(world.subject.layer),
    )
    assert home is not None
    with global_policy(world.drawn.policy), tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model_of(world.held.layer, world.site).save(path)
        case, arrays = world.case.to_json(), jax.device_get(raw.arrays)
        loading = Loading(case, path, arrays, known == "registered", world.drawn.policy, home)
        found = load_afresh(loading)
    if found is None:
        return
    outputs, variables = found
    world.compare_values(world.state.variables, variables, "variables in a fresh process")
    new = replace(world.state, draws=0)
    result, _ = world.laws.call(new, raw, training=False)
    world.compare_values(arrays_of(result.outputs), outputs, "outputs in a fresh process")


def _makes_another(world: World) -> bool:
    return _models(world) and world.is_as_made


def _weights_text(script: Script, *, into: str = "functional") -> list[str]:
    model = script.model if into == "functional" else script.holder
    return [
        *script.arguments(),
        f"saving = {model}",
        *(["saving(arrays_of(symbolic((inputs, arguments))))"] if into != "functional" else []),
        "with tempfile.TemporaryDirectory() as folder:",
        "    saving.save_weights(f'{folder}/model.weights.h5')",
        *(f"    {line}" for line in script.new_layer()),
        f"    {model}.load_weights(f'{{folder}}/model.weights.h5')",
        *script.placed(),
        script.holds(script.world.started()),
    ]


@scenario_step(
    *("W3", "W4", "R2"),
    fits=_makes_another,
    into=("functional", "never called"),
    text=_weights_text,
)
def load_weights(world: World, *, into: str = "functional") -> None:
    """Goes on with a new layer of the same settings that loads the weights of this one."""
    put = model_of if into == "functional" else holder_of
    with global_policy(world.drawn.policy), tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.weights.h5"
        called(put(world.held.layer, world.site), world.raw).save_weights(path)
        layer = world.new_layer()
        put(layer, world.site).load_weights(path)
    started = world.started()
    world.state = replace(started, variables=world.state.variables)
    world.put(layer)
    world.compare("after load_weights")
