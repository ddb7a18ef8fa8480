"""The command `scenarios`: a layer in use, beside the laws as a model (T9)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flaxlayer_testing.cli.choice import options
from flaxlayer_testing.cli.options import Examples, Layer, Modules, Seed
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.report.console import command_line, misuse
from flaxlayer_testing.report.progress import progress
from flaxlayer_testing.run.failure import OURS
from flaxlayer_testing.run.loading import load_checks, load_object
from flaxlayer_testing.scenario.course import run_scenario
from flaxlayer_testing.scenario.hunt import BrokenLaw, search_scenarios

__all__ = ["MySteps", "replay_scenario", "scenarios"]

BROKEN = Path("flaxlayer-scenario.json")

MySteps = Annotated[
    list[str] | None,
    typer.Option(
        "--steps",
        help="A Python module with steps of your own, under @flaxlayer_testing.scenario_step; "
        "repeatable.",
    ),
]
Statistics = Annotated[
    bool, typer.Option("--statistics", help="Say how often each setting, place and step came.")
]
Saved = Annotated[Path, typer.Option(help="Where a scenario that breaks a law goes.")]


def scenarios(
    examples: Examples = 100,
    seed: Seed = 0,
    framework: Modules = "linen",
    layer: Layer = OURS,
    my_steps: MySteps = None,
    save: Saved = BROKEN,
    statistics: Statistics = False,
) -> None:
    """Uses a layer in generated scenarios; stops at a broken law, shrinks it and saves it."""
    with misuse():
        factory = load_object(layer)
        _load_steps(my_steps)
    with progress(examples, unit="scenarios") as shown:
        hunt = search_scenarios(
            budget=examples,
            seed=seed,
            layer=factory,
            framework=framework,
            tell=lambda scenario: shown.advance(),
        )
    if statistics:
        for name, count in sorted(hunt.counts.items(), key=lambda item: (-item[1], item[0])):
            typer.echo(f"{name:32} {count:6} {count / max(hunt.run, 1):6.1%}")
    typer.echo(f"{hunt.run} scenarios, {'1 failed' if hunt.found else 'all passed'}")
    if hunt.found is None:
        raise typer.Exit(0)
    hunt.found.save(save)
    typer.echo(f"Wrote {save}")
    given = None if layer == OURS else layer
    _say(hunt.found, str(hunt.found.message), save, layer=given, steps=my_steps)


def replay_scenario(
    broken: BrokenLaw, path: Path, *, layer: str | None, steps: list[str] | None
) -> None:
    """Runs a saved scenario again, and ends the command.

    Args:
        broken: What was saved.
        path: The file.
        layer: The layer to run, as `module:name`; ours if None.
        steps: Modules with steps of the user's own.

    Raises:
        typer.Exit: With 0 if no law is broken, else with 1.
    """
    with misuse():
        factory = load_object(layer or OURS)
        _load_steps(steps)
    try:
        run_scenario(broken.scenario, factory)
    except KeepLawError as error:
        _say(broken, str(error), path, layer=layer, steps=steps)
    typer.echo("1 scenario, passed")
    raise typer.Exit(0)


def _load_steps(names: list[str] | None) -> None:
    for name in names or ():
        load_checks(name)


def _say(
    broken: BrokenLaw, message: str, path: Path, *, layer: str | None, steps: list[str] | None
) -> None:
    scenario = broken.scenario
    settings = ", ".join(f"{name}={value!r}" for name, value in scenario.settings) or "no settings"
    typer.echo(f"\nA layer with {settings}, in the surrounding {scenario.surrounding!r}:")
    for number, step in enumerate(scenario.steps, 1):
        typer.echo(f"  {number}. {step}")
    typer.echo(message)
    words = [*options("--layer", layer), *options("--steps", *(steps or ()))]
    typer.echo(f"Replay: {command_line('replay', str(path), *words)}")
    raise typer.Exit(1)
