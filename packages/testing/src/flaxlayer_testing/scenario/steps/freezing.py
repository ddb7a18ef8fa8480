"""Steps that freeze and thaw (C5)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from flaxlayer_testing.scenario.layer_settings import select_paths
from flaxlayer_testing.scenario.script import Script
from flaxlayer_testing.scenario.steps.step_kinds import has_variables, scenario_step
from flaxlayer_testing.scenario.world import World

__all__ = ["freeze", "set_trainable", "thaw"]

SELECTORS = (("leaf", 0), ("collection", 0), ("leaf", 1), ("collection", 1), ("all", 0))


def _selected(world: World, selector: tuple[str, int]) -> frozenset[str]:
    return select_paths(selector, world.paths)[1]


def _pattern_text(script: Script, selector: tuple[str, int], *, thaw: bool = False) -> list[str]:
    world = script.world
    pattern, paths = select_paths(selector, world.paths)
    frozen = world.state.frozen - paths if thaw else world.state.frozen | paths
    return [
        f"layer.{'unfreeze' if thaw else 'freeze'}({pattern!r})",
        script.holds(replace(world.state, frozen=frozen)),
    ]


@scenario_step("C5", fits=has_variables, selector=SELECTORS, text=_pattern_text)
def freeze(world: World, *, selector: tuple[str, int]) -> None:
    """Freezes by a path pattern."""
    world.freeze(world.held.layer, selector)
    frozen = world.state.frozen | _selected(world, selector)
    world.state = replace(world.state, frozen=frozen)
    world.compare("after a freeze")


@scenario_step(
    "C5",
    fits=has_variables,
    selector=(("all", 0), *SELECTORS[:-1]),
    text=partial(_pattern_text, thaw=True),
)
def thaw(world: World, *, selector: tuple[str, int]) -> None:
    """Thaws by a path pattern."""
    world.freeze(world.held.layer, selector, thaw=True)
    frozen = world.state.frozen - _selected(world, selector)
    world.state = replace(world.state, frozen=frozen)
    world.compare("after a thaw")


def _trainable_text(script: Script, *, trainable: bool) -> list[str]:
    state = replace(script.world.state, trainable=trainable)
    return [f"layer.trainable = {trainable}", script.holds(state)]


@scenario_step("C5", fits=has_variables, trainable=(False, True), text=_trainable_text)
def set_trainable(world: World, *, trainable: bool) -> None:
    """Sets `trainable` of the layer."""
    world.held.layer.trainable = trainable
    world.state = replace(world.state, trainable=trainable)
    world.compare(f"with trainable={trainable}")
