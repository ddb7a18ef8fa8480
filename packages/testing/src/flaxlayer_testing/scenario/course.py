"""Runs a scenario on a layer, and says which step broke which law (T9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flaxlayer import FlaxLayer
from flaxlayer_testing.errors import KeepLawError, ParityError, RunScenarioError, in_short
from flaxlayer_testing.scenario.blame import (
    cause_of,
    failure_of,
    refuse_own,
    without_words_of_keras,
)
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


def _ignore(kind: str) -> None:
    """Is told what begins, and does nothing."""


def run_scenario(
    scenario: Scenario,
    layer: LayerFactory = FlaxLayer,
    begin: Callable[[str], None] = _ignore,
) -> Trace:
    """Runs a scenario, each step beside the model of the laws.

    Args:
        scenario: What to do.
        layer: Makes the layer under test.
        begin: Is told the kind of each step before it is taken.

    Returns:
        What took place.

    Raises:
        KeepLawError: If the layer breaks a law; it names the step.
        RunScenarioError: If the harness itself fails.
    """
    with without_words_of_keras():
        try:
            return _run(scenario, layer, begin)
        except KeepLawError as error:
            if cause_of(error) is not None:
                # Once more, as Keras has taken its own frames out of the traceback.
                again = failure_of(lambda: _run(scenario, layer, begin))
                cause = None if again is None else cause_of(again)
                if again is not None and cause is not None:
                    refuse_own(cause, layer, str(again).partition(":")[0])
            raise


def _run(scenario: Scenario, layer: LayerFactory, begin: Callable[[str], None]) -> Trace:
    where = "the build"
    taken = []
    try:
        world = World.begin(scenario, layer)
        for number, step in enumerate(scenario.steps, 1):
            where = f"step {number}, {step}"
            begin(step.kind)
            if run_step(world, step):
                taken.append(step.kind)
        where = "the end"
        world.compare_lent()
    except RunScenarioError:
        raise
    except (KeepLawError, ParityError) as error:
        law = _laws(scenario, where) if isinstance(error, ParityError) else error.law
        raise KeepLawError(
            f"{where}: {error.failed}", expected=error.expected, found=error.found, law=law
        ) from cause_of(error)
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
