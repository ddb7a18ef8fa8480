"""Steps with wrong input: an explained error, and nothing changed (§11)."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any

import h5py
import jax
import numpy as np

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.scenario.places import SURROUNDINGS, model_of
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World

__all__ = ["wrong_arguments", "wrong_file", "wrong_inputs", "wrong_pattern", "wrong_variables"]


def _has_variables(world: World) -> bool:
    return bool(world.oracle.stored)


def _alone(world: World) -> bool:
    return world.held.model is world.held.layer


@scenario_step("A1", fits=lambda world: _alone(world) and world.oracle.refuses_shapes)
def wrong_inputs(world: World) -> None:
    """Calls the layer on inputs that raw Flax refuses for their shape."""
    wrong = current_backend().to_backend((world.oracle.widened_inputs, dict(world.raw.arguments)))
    layer = world.held.layer
    world.refused(
        "inputs of a wrong shape", lambda: layer(*wrong[0], training=True, **wrong[1]), "A1"
    )


@scenario_step(
    "A2", fits=lambda world: _alone(world) and not world.raw.takes_any_keyword, name=("no_such",)
)
def wrong_arguments(world: World, *, name: str) -> None:
    """Calls the layer with a keyword that its method does not take."""
    args, kwargs = current_backend().to_backend((world.raw.inputs, dict(world.raw.arguments)))
    layer = world.held.layer
    world.refused("an unknown argument", lambda: layer(*args, **kwargs, **{name: 1}), "A2")


@scenario_step("W2", fits=_has_variables, kind=("unknown", "shape", "last"))
def wrong_variables(world: World, *, kind: str) -> None:
    """Loads a tree with an unknown path, with wrong shapes, or with one wrong shape, the last."""
    layer, tree = world.held.layer, dict(world.state.variables)
    name = sorted(tree)[0]
    if kind == "unknown":
        moved = jax.tree_util.tree_map(_other, tree)
        wrong = {**moved, name: {**moved[name], "no_such_variable": np.ones(2, np.float32)}}
    else:
        leaves, structure = jax.tree_util.tree_flatten(tree)
        first = 0 if kind == "shape" else len(leaves) - 1
        leaves = [
            np.ones((*np.shape(leaf), 7), np.float32) if number >= first else _other(leaf)
            for number, leaf in enumerate(leaves)
        ]
        wrong = jax.tree_util.tree_unflatten(structure, leaves)
    world.refused("variables that do not fit", lambda: layer.load_flax_variables(wrong), "W2")


def _other(leaf: Any) -> Any:
    inexact = jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact)
    return (np.asarray(leaf) * 0 + 3).astype(leaf.dtype) if inexact else leaf


@scenario_step("C5", fits=_has_variables, thaw=(False, True))
def wrong_pattern(world: World, *, thaw: bool) -> None:
    """Freezes, or thaws, what no path matches, beside what one does."""
    layer = world.held.layer
    change = layer.unfreeze if thaw else layer.freeze
    world.refused("a pattern of nothing", lambda: change("**", "no/such/path"), "C5")


def _files(world: World) -> bool:
    return _has_variables(world) and SURROUNDINGS["functional"].fits(world.oracle)


@scenario_step("W3", "S6", fits=_files, kind=("missing", "extra", "shape"))
def wrong_file(world: World, *, kind: str) -> None:
    """Loads a weights file that lacks an entry, has one more, or one of another shape."""
    model = model_of(world.held.layer, world.oracle)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.weights.h5"
        model.save_weights(path)
        _spoil(path, kind)
        world.refused(
            f"a weights file with an entry: {kind}", lambda: model.load_weights(path), "W3"
        )


def _spoil(path: pathlib.Path, kind: str) -> None:
    """Changes the values of a file, and spoils its last entry."""
    with h5py.File(path, "r+") as file:
        *others, last = _entries(file)
        for name in others:
            if file[name].dtype.kind == "f":
                file[name][...] = file[name][()] * 0 + 3
        if kind == "extra":
            file[f"{last}_more"] = np.ones(2, np.float32)
            return
        shape, attributes = file[last].shape, dict(file[last].attrs)
        del file[last]
        if kind == "shape":
            file[last] = np.ones((*shape, 7), np.float32)
            file[last].attrs.update(attributes)


def _entries(file: Any) -> list[str]:
    found: list[str] = []

    def visit(name: str, part: Any) -> None:
        if isinstance(part, h5py.Dataset) and "seed_generator" not in name:
            found.append(name)

    file.visititems(visit)
    return found
