"""What a step of a scenario is, and the one table of them (T9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from flaxlayer_testing.errors import SelectCheckError
from flaxlayer_testing.generate.draw.drawer import Draw
from flaxlayer_testing.scenario.scenario import Step
from flaxlayer_testing.scenario.script import StepText
from flaxlayer_testing.scenario.setting_kinds import anything
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.spec.spec import Case, Json

__all__ = ["StepKind", "draw_step", "has_variables", "known_steps", "scenario_step"]

Choices = Mapping[str, tuple[Json, ...]]
"""The values that each option of a step may have, the simplest first."""


@dataclass(frozen=True)
class StepKind:
    """A kind of steps.

    Attributes:
        name: Its name.
        laws: The laws that it is about.
        run: Takes the step, with its options as keyword arguments; raises where a law is broken.
        options: The values that each option may have.
        fits: Whether the step can be taken; where it cannot, it is left out.
        slow: Whether it takes seconds, so that it is drawn less often.
        on_built: Whether the layer has to be built before.
        wants: Whether it is drawn for a case.
        weight: How much more often it is drawn than others, for the cases that want it.
        text: Its lines in a program, by the script and its options; None where it has none.
    """

    name: str
    laws: tuple[str, ...]
    run: Callable[..., None]
    options: Choices
    fits: Callable[[World], bool]
    slow: bool = False
    on_built: bool = True
    wants: Callable[[Case], bool] = anything
    weight: int = 1
    text: StepText | None = None


_STEPS: dict[str, StepKind] = {}


def has_variables(world: World) -> bool:
    """Tells whether the module has variables, which most steps need."""
    return bool(world.oracle.stored)


def _always(world: World) -> bool:
    return True


def scenario_step(
    *laws: str,
    fits: Callable[[World], bool] = _always,
    slow: bool = False,
    on_built: bool = True,
    wants: Callable[[Case], bool] = anything,
    weight: int = 1,
    text: StepText | None = None,
    **options: tuple[Json, ...],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function `(world, **options) -> None` as a step of scenarios.

    A step of your own is drawn, run, shrunk, saved and replayed like ours once its module is
    imported; `--steps` of the command imports one.

    Args:
        *laws: The laws that it is about.
        fits: Whether it can be taken in a world.
        slow: Whether it takes seconds.
        on_built: Whether the layer has to be built before.
        wants: Whether it is drawn for a case.
        weight: How much more often it is drawn than others, for the cases that want it.
        text: `text(script, **options)` returns its lines in a program, which stand before it is
            taken; without, a scenario with such a step is not printed.
        **options: The values that each of its options may have, the simplest first.

    Returns:
        A decorator that leaves the function as it is.

    Raises:
        SelectCheckError: If it cites no law, or is called as a step of another module.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        name = function.__name__
        other = _STEPS.get(name)
        taken = other is not None and other.run.__module__ != function.__module__
        if not laws or taken:
            raise SelectCheckError(
                f"{function.__module__}.{name} cannot be a step of scenarios.",
                expected="at least one law, and a name of its own",
                found=f"the laws {laws}" + (f", and another step {name}" if taken else ""),
                fix="Cite a law, or rename the function.",
                law="T9",
            )
        _STEPS[name] = StepKind(
            name,
            laws,
            function,
            MappingProxyType(options),
            fits,
            slow,
            on_built,
            wants,
            weight,
            text,
        )
        return function

    return register


def known_steps() -> Mapping[str, StepKind]:
    """Returns the steps by name, in the order in which they were registered."""
    return MappingProxyType(_STEPS)


def draw_step(draw: Draw, kinds: tuple[str, ...]) -> Step:
    """Draws a step of one of some kinds.

    Args:
        draw: What to draw with.
        kinds: Names of steps, the simplest first.

    Returns:
        A step with options.
    """
    kind = _STEPS[draw.one_of(kinds)]
    options = {name: draw.one_of(values) for name, values in kind.options.items()}
    return Step(kind.name, tuple(sorted(options.items())))


def run_step(world: World, step: Step) -> bool:
    """Takes a step, if it can be taken, and tells whether it was.

    Args:
        world: The layer and the model of the laws.
        step: The step.
    """
    kind = _STEPS[step.kind]
    if not kind.fits(world):
        return False
    if kind.on_built and not world.held.layer.built:
        world.build()
    arguments: dict[str, Any] = step.given
    kind.run(world, **arguments)
    return True
