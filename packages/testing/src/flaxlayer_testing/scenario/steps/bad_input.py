"""Steps with wrong input: an explained error, and nothing changed (§11)."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.scenario.layer_settings import select_paths
from flaxlayer_testing.scenario.places import SURROUNDINGS, called, holder_of, model_of
from flaxlayer_testing.scenario.printed.refusals_seen import spoil, spoilt
from flaxlayer_testing.scenario.script import Script
from flaxlayer_testing.scenario.steps.step_kinds import has_variables, scenario_step
from flaxlayer_testing.scenario.world import World

__all__ = [
    "wrong_arguments",
    "wrong_file",
    "wrong_inputs",
    "wrong_pattern",
    "wrong_settings",
    "wrong_variables",
    "wrong_weights",
]


def _alone(world: World) -> bool:
    return world.held.model is world.held.layer


def _inputs_text(script: Script) -> list[str]:
    call = "layer(*tensors(widened(inputs)), training=True, **tensors(arguments))"
    return script.refused(call, *script.arguments())


@scenario_step(
    "A1",
    fits=lambda world: _alone(world) and world.oracle.refuses_shapes,
    text=_inputs_text,
)
def wrong_inputs(world: World) -> None:
    """Calls the layer on inputs that raw Flax refuses for their shape."""
    wrong = current_backend().to_backend((world.oracle.widened_inputs, dict(world.raw.arguments)))
    layer = world.held.layer
    world.refused(
        "inputs of a wrong shape", lambda: layer(*wrong[0], training=True, **wrong[1]), "A1"
    )


def _closed(world: World) -> bool:
    return _alone(world) and not world.raw.takes_any_keyword


def _can_lack_the_last(world: World) -> bool:
    """Tells whether raw Flax takes the call without its last input, or there is none."""
    inputs = world.raw.inputs
    return not inputs or world.oracle.accepts(replace(world.raw, inputs=inputs[:-1]))


def _arguments_text(script: Script, *, kind: str) -> list[str]:
    calls = {
        "unknown": "layer(*tensors(inputs), no_such=1, **tensors(arguments))",
        "unhashable": "layer(*tensors(inputs), no_such={1}, **tensors(arguments))",
        "missing": "layer(*tensors(inputs[:-1]), **tensors(arguments))",
    }
    if kind == "missing" and _can_lack_the_last(script.world):
        return []
    return script.refused(calls[kind], *script.arguments())


@scenario_step("A2", fits=_closed, kind=("unknown", "missing", "unhashable"), text=_arguments_text)
def wrong_arguments(world: World, *, kind: str) -> None:
    """Calls the layer with a keyword that its method does not take, or without its inputs."""
    args, kwargs = current_backend().to_backend((world.raw.inputs, dict(world.raw.arguments)))
    layer = world.held.layer
    if kind == "missing":
        if _can_lack_the_last(world):  # such as a mask
            return
        args = args[:-1]
    else:
        kwargs = {**kwargs, "no_such": {1} if kind == "unhashable" else 1}
    world.refused(f"arguments: {kind}", lambda: layer(*args, **kwargs), "A2")


WRONG_SETTINGS: Mapping[str, Any] = {
    "seed": 2**32,
    "state_updates": "sometimes",
    "mask_arg": "no_such",
    "rng_args": {"no_such": "noise"},
    "method": "no_such",
}


def _settings_text(script: Script, *, kind: str) -> list[str]:
    return script.refused(f"Layer(module, {kind}={WRONG_SETTINGS[kind]!r})")


@scenario_step("R3", "C3", "A4", kind=tuple(WRONG_SETTINGS), text=_settings_text)
def wrong_settings(world: World, *, kind: str) -> None:
    """Makes a layer with a setting that none can have."""
    module, make = world.subject.module, world.subject.layer
    wrong = {kind: WRONG_SETTINGS[kind]}
    world.refused(f"the setting {kind}", lambda: make(module, **wrong), "R3")


def _variables_text(script: Script, *, kind: str) -> list[str]:
    if kind == "fraction" and not _has_integers(script.world.state.variables):
        return []
    return script.refused(f"layer.load_flax_variables(spoilt(variables, {kind!r}))")


@scenario_step(
    "W2",
    fits=has_variables,
    kind=("unknown", "shape", "last", "fraction"),
    text=_variables_text,
)
def wrong_variables(world: World, *, kind: str) -> None:
    """Loads a tree with an unknown path, with wrong shapes, or with one wrong shape, the last."""
    layer, tree = world.held.layer, dict(world.state.variables)
    if kind == "fraction" and not _has_integers(tree):
        return
    wrong = spoilt(tree, kind)
    world.refused("variables that do not fit", lambda: layer.load_flax_variables(wrong), "W2")


def _has_integers(tree: Any) -> bool:
    leaves = jax.tree_util.tree_leaves(tree)
    return any(jax.numpy.issubdtype(leaf.dtype, jax.numpy.integer) for leaf in leaves)


def _pattern_text(script: Script, *, thaw: bool, first: tuple[str, int]) -> list[str]:
    good, _ = select_paths(first, script.world.paths)
    change = "unfreeze" if thaw else "freeze"
    return script.refused(f"layer.{change}({good!r}, 'no/such/path')")


@scenario_step(
    "C5",
    fits=has_variables,
    thaw=(False, True),
    first=(("leaf", 0), ("all", 0)),
    text=_pattern_text,
)
def wrong_pattern(world: World, *, thaw: bool, first: tuple[str, int]) -> None:
    """Freezes, or thaws, what no path matches, beside what one does."""
    layer = world.held.layer
    change = layer.unfreeze if thaw else layer.freeze
    good, _ = select_paths(first, world.paths)
    world.refused("a pattern of nothing", lambda: change(good, "no/such/path"), "C5")


def _weights_text(script: Script) -> list[str]:
    return [
        "weights = [np.asarray(value) * 0 for value in layer.get_weights()]",
        "weights[-1] = np.ones((*weights[-1].shape, 7), np.float32)",
        "fails(lambda: layer.set_weights(weights))",
        script.holds(script.world.state),
    ]


@scenario_step("W2", fits=lambda world: len(world.held.layer.weights) > 1, text=_weights_text)
def wrong_weights(world: World) -> None:
    """Sets weights of which the last has another shape; Keras says what is wrong with them."""
    layer = world.held.layer
    weights = [np.asarray(value) * 0 for value in layer.get_weights()]
    weights[-1] = np.ones((*weights[-1].shape, 7), np.float32)
    if world.fails("weights that do not fit", lambda: layer.set_weights(weights)):
        return
    raise KeepLawError(
        "The layer takes weights of another shape.",
        expected="an error",
        found="no error",
        law="W2",
    )


def _files(world: World) -> bool:
    return has_variables(world) and SURROUNDINGS["functional"].fits(world.oracle)


def _file_text(script: Script, *, kind: str, built: bool = True) -> list[str]:
    model = script.model if built else script.holder
    lines = [
        *script.arguments(),
        f"loading = {model}",
        *([] if built else ["loading(arrays_of(symbolic((inputs, arguments))))"]),
        "with tempfile.TemporaryDirectory() as folder:",
        "    path = f'{folder}/model.weights.h5'",
        "    loading.save_weights(path)",
        f"    if spoil(path, {kind!r}):",
    ]
    if built:
        first, *others = script.refused("loading.load_weights(path)")
        return [*lines, f"        {first}", *others]
    loaded = [f"loading = {model}", "refused(layer, lambda: loading.load_weights(path))"]
    return [*lines, *(f"        {line}" for line in script.of_another(*loaded))]


KINDS = ("missing", "extra", "shape", "dtype", "damaged")


@scenario_step(
    *("W3", "S6"), fits=_files, kind=KINDS, built=(True, False), weight=2, text=_file_text
)
def wrong_file(world: World, *, kind: str, built: bool = True) -> None:
    """Loads a weights file that lacks an entry, has one more, or one that does not fit.

    The layer is the one that holds what the laws say, or a new one that is not built.
    """
    put = model_of if built else holder_of
    model = called(put(world.held.layer, world.site), world.raw)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.weights.h5"
        model.save_weights(path)
        if not spoil(str(path), kind):
            return
        what = f"a weights file with an entry: {kind}"
        if built:
            world.refused(what, lambda: model.load_weights(path), "W3")
            return
        layer = world.new_layer()
        fresh = put(layer, world.site)
        world.refused(what, lambda: fresh.load_weights(path), "W3")
    if layer.built:
        raise KeepLawError(
            f"A layer is built after {what}, which it refused.",
            expected="a layer that is not built, as before",
            found=f"{len(layer.weights)} weights",
            law="S6",
        )
