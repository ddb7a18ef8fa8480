"""The command `scenarios`: a layer in use, beside the laws as a model (T9)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from flaxlayer_testing.cli.choice import options
from flaxlayer_testing.cli.findings import say_ending, say_statistics, say_written
from flaxlayer_testing.cli.options import (
    Examples,
    GoOn,
    Html,
    Json,
    Junit,
    Layer,
    MaxTime,
    Modules,
    NoDatabase,
    Saved,
    Seed,
    ShowStatistics,
    Workers,
    numbered,
)
from flaxlayer_testing.report.console import MENDED, Outputs, command_line, finish, misuse
from flaxlayer_testing.report.events import ReportFinished, tell
from flaxlayer_testing.report.progress import progress
from flaxlayer_testing.report.record import Record
from flaxlayer_testing.report.report import Report
from flaxlayer_testing.run.broken_law import BrokenLaw
from flaxlayer_testing.run.failure import OURS
from flaxlayer_testing.run.law_search import search_scenarios
from flaxlayer_testing.run.loading import load_checks, load_object
from flaxlayer_testing.run.scenario_trial import PARTS, ScenarioTrial
from flaxlayer_testing.run.search import default_database

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


def scenarios(
    examples: Examples = 100,
    seed: Seed = 0,
    framework: Modules = "linen",
    layer: Layer = OURS,
    my_steps: MySteps = None,
    workers: Workers = 1,
    max_time: MaxTime = None,
    continue_after_failure: GoOn = False,
    no_database: NoDatabase = False,
    save: Saved = BROKEN,
    statistics: ShowStatistics = False,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Uses a layer in generated scenarios, all different; shrinks those that break a law."""
    with misuse():
        factory = load_object(layer)
        _load_steps(my_steps)
    with misuse(), progress(examples, unit="scenarios"):
        result = search_scenarios(
            budget=examples,
            seed=seed,
            layer=factory,
            framework=framework,
            steps=tuple(my_steps or ()),
            workers=workers,
            max_time=max_time,
            continue_after_failure=continue_after_failure,
            database=None if no_database else default_database(),
        )
    if statistics:
        say_statistics(result, PARTS, "scenarios")
    given = None if layer == OURS else layer
    failed = []
    for found, path in zip(result.bugs, numbered(save, len(result.bugs)), strict=True):
        found.broken.save(path)
        failed.append(_replayed_by(found.report, path, layer=given, steps=my_steps))
        say_written(path, found.bug, found.count, "scenario")
    say_ending(result.statistics, examples, "scenarios were run")
    finish(
        Record((*result.reports, *failed)),
        Outputs(json, html, junit),
        unit="scenario",
        after="another `--seed` draws other scenarios; `--statistics` counts what they showed.",
    )


def replay_scenario(
    broken: BrokenLaw,
    path: Path,
    outputs: Outputs,
    *,
    layer: str | None,
    steps: list[str] | None,
) -> None:
    """Runs a saved scenario again, and ends the command.

    Args:
        broken: What was saved.
        path: The file.
        outputs: Files to write.
        layer: The layer to run, as `module:name`; ours if None.
        steps: Modules with steps of the user's own.

    Raises:
        typer.Exit: With 0 if no law is broken, else with 1.
    """
    with misuse():
        factory = load_object(layer or OURS)
        _load_steps(steps)
    report = ScenarioTrial(factory, tuple(steps or ())).run_printed(broken.scenario)
    tell(ReportFinished(report))
    report = _replayed_by(report, path, layer=layer, steps=steps)
    finish(Record((report,)), outputs, unit="scenario", after=MENDED)


def _load_steps(names: list[str] | None) -> None:
    for name in names or ():
        load_checks(name)


def _replayed_by(
    report: Report, path: Path, *, layer: str | None, steps: list[str] | None
) -> Report:
    words = [*options("--layer", layer), *options("--steps", *(steps or ()))]
    line = command_line("replay", str(path), *words)
    entries = (replace(entry, replay=line) for entry in report.entries)
    return replace(report, entries=tuple(entries))
