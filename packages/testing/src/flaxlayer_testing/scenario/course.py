"""Runs a scenario on a layer, and says which step broke which law (T9)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from flaxlayer import FlaxLayer
from flaxlayer_testing.errors import KeepLawError, ParityError, in_short
from flaxlayer_testing.scenario.scenario import Scenario
from flaxlayer_testing.scenario.steps import STEPS
from flaxlayer_testing.scenario.steps.step_kinds import run_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.subject.layer import LayerFactory

__all__ = ["Trace", "run_scenario"]


@dataclass(frozen=True)
class Trace:
    """What of a scenario took place.

    Attributes:
        settings: The settings that mean something for the module.
        surrounding: The surrounding in which the layer stood.
        steps: The kinds of the steps that were taken.
    """

    settings: tuple[str, ...]
    surrounding: str
    steps: tuple[str, ...]


def run_scenario(scenario: Scenario, layer: LayerFactory = FlaxLayer) -> Trace:
    """Runs a scenario, each step beside the model of the laws.

    Args:
        scenario: What to do.
        layer: Makes the layer under test.

    Returns:
        What took place.

    Raises:
        KeepLawError: If the layer breaks a law; it names the step.
    """
    with warnings.catch_warnings():
        # Keras's own words on files that do not fit, and on models without trainable weights.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"keras\.")
        return _run(scenario, layer)


def _run(scenario: Scenario, layer: LayerFactory) -> Trace:
    where = "the build"
    taken = []
    try:
        world = World.begin(scenario, layer)
        for number, step in enumerate(scenario.steps, 1):
            where = f"step {number}, {step}"
            if run_step(world, step):
                taken.append(step.kind)
        where = "the end"
        world.compare_given()
    except (KeepLawError, ParityError) as error:
        law = _laws(scenario, where) if isinstance(error, ParityError) else error.law
        raise KeepLawError(
            f"{where}: {error.failed}", expected=error.expected, found=error.found, law=law
        ) from error
    except Exception as error:
        raise KeepLawError(
            f"{where}: the layer fails.",
            expected="what raw Flax gives",
            found=in_short(error),
            law=_laws(scenario, where),
        ) from error
    return Trace(tuple(sorted(world.kept)), world.surrounding, tuple(taken))


def _laws(scenario: Scenario, where: str) -> str:
    number = where.removeprefix("step ").partition(",")[0]
    if not number.isdigit():
        return "B2"
    return ", ".join(STEPS[scenario.steps[int(number) - 1].kind].laws)
