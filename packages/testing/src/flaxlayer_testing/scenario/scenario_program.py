"""Prints a scenario as a Python program that needs nothing of this harness (T1, T9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax

from flaxlayer import FlaxLayer
from flaxlayer_testing.backends import current_backend, printed_pieces
from flaxlayer_testing.oracle.variable_trees import random_like
from flaxlayer_testing.render import raw_trees
from flaxlayer_testing.render.dialects import DIALECTS
from flaxlayer_testing.render.piece_names import named_pieces
from flaxlayer_testing.render.program import import_lines, piece_texts
from flaxlayer_testing.scenario import printed
from flaxlayer_testing.scenario.blame import failure_of, without_words_of_keras
from flaxlayer_testing.scenario.layer_settings import SETTINGS
from flaxlayer_testing.scenario.scenario import Scenario
from flaxlayer_testing.scenario.script import Script
from flaxlayer_testing.scenario.steps import STEPS
from flaxlayer_testing.scenario.steps.step_kinds import run_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.subject.import_paths import import_path
from flaxlayer_testing.subject.layer import LayerFactory

__all__ = ["scenario_program"]

_PARTS = {
    **named_pieces(
        *(getattr(printed, name) for name in printed.__all__), raw_trees, printed_pieces
    ),
    random_like.__name__: random_like,
}

_MODULES = (
    *("concurrent.futures", "copy", "functools", "h5py", "hashlib", "itertools", "json"),
    *("pathlib", "pickle", "subprocess", "sys", "tempfile"),
)
"""What programs import where they use it, beside what their framework's text does."""

Act = Callable[[], Any]

_MARK = "# The scenario."


def scenario_program(scenario: Scenario, layer: LayerFactory = FlaxLayer) -> str:
    """Prints a scenario as a standalone program, as far as a layer keeps the laws in it.

    The program makes the layer, puts it into its surrounding and takes the steps. After each it
    compares the layer with raw Flax by plain assertions, so that it fails where the layer does, and
    ends in silence where no law is broken.

    Args:
        scenario: What to print.
        layer: Makes the layer under test; the text of a step depends on those before, so that they
            are taken.

    Returns:
        The program; empty where there is none: for a layer that cannot be imported by its name, for
        a step or a setting that has no text.
    """
    path = import_path(layer)
    if path is None:
        return ""
    world = World.planned(scenario, layer)
    if not world.oracle.traceable or not _has_texts(scenario, world):
        return ""
    lines: list[str] = []
    with without_words_of_keras():
        for text, act in _parts(Script(world), scenario):
            lines += text
            if failure_of(act) is not None:
                break
    return _whole(world, path, lines)


def _has_texts(scenario: Scenario, world: World) -> bool:
    texts: list[Any] = [STEPS[step.kind].text for step in scenario.steps]
    texts += [SETTINGS[name].text for name in world.kept]
    return None not in [*texts, world.place.text]


def _parts(script: Script, scenario: Scenario) -> Iterator[tuple[list[str], Act]]:
    """Yields the lines of each part of a scenario, and then what takes it."""
    world = script.world
    yield script.beginning(), world.stand
    if not world.drawn.built_late:
        yield script.built(), world.build
    for number, step in enumerate(scenario.steps, 1):
        kind = STEPS[step.kind]
        if not kind.fits(world):
            continue
        yield ["", f"# {number}. {step}"], _nothing
        if kind.on_built and not world.held.layer.built:
            yield script.built(), world.build
        assert kind.text is not None
        yield kind.text(script, **step.given), partial(run_step, world, step)
    yield ["", *(line for text in script.setting_texts for line in text.end)], _nothing


def _nothing() -> None:
    """Does nothing: what a comment does."""


def _whole(world: World, path: tuple[str, str], lines: list[str]) -> str:
    """Returns the program: imports, definitions, the lines."""
    case = world.case
    dialect = DIALECTS[case.framework]
    classes = dialect.definitions(case)
    pieces = {**dialect.pieces, dialect.raw.__name__: dialect.raw, **_PARTS}
    body = "\n".join(lines)
    texts = [*piece_texts("\n\n".join([*classes, body]), pieces), *classes]
    whole = "\n".join([*texts, body])
    ours = [name for name in ("CollectionPolicy", "register") if re.search(rf"\b{name}\(", whole)]
    modules = [name for name in _MODULES if re.search(rf"\b{name}\.", whole)]
    header = [
        *(f"import {name}" for name in sorted([*modules, "os", "warnings"])),
        "",
        f"os.environ['KERAS_BACKEND'] = {current_backend().name!r}",
        *(["os.environ['JAX_ENABLE_X64'] = '1'"] if jax.config.read("jax_enable_x64") else []),
        "",
        dialect.imports,
        "import keras",
        *import_lines(whole),
        *([f"from flaxlayer import {', '.join(ours)}"] if ours else []),
        f"from {path[0]} import {path[1]} as Layer",
        "",
        "warnings.simplefilter('ignore')",
    ]
    parts = ["\n".join(header), *texts, "\n".join([_MARK, "", *lines]).rstrip()]
    return "\n\n\n".join(parts) + "\n"
