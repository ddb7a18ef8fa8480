"""The commands `search` and `replay` (T1, T8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from flaxlayer_testing.cli import listing
from flaxlayer_testing.cli.choice import choose_checks, names_of
from flaxlayer_testing.cli.findings import say_ending, say_statistics, say_written
from flaxlayer_testing.cli.options import (
    Examples,
    Exclude,
    Features,
    GoOn,
    Html,
    Json,
    Junit,
    Layer,
    ListChecks,
    ListFeatures,
    MaxTime,
    Modules,
    MyChecks,
    NoDatabase,
    Only,
    OtherLayer,
    Saved,
    Seed,
    ShowStatistics,
    Slow,
    Without,
    Workers,
    numbered,
)
from flaxlayer_testing.cli.scenario_search import MySteps, replay_scenario
from flaxlayer_testing.cli.targets import run_failure
from flaxlayer_testing.errors import ReadRecordError, ReadSpecError
from flaxlayer_testing.generate.draw.offers import features_of
from flaxlayer_testing.project import current_project
from flaxlayer_testing.render.program import to_program
from flaxlayer_testing.report.console import MENDED, Outputs, finish, misuse
from flaxlayer_testing.report.progress import progress
from flaxlayer_testing.report.record import Record
from flaxlayer_testing.report.report import Report, Status
from flaxlayer_testing.report.statistics import Ending, Statistics
from flaxlayer_testing.run.broken_law import BrokenLaw
from flaxlayer_testing.run.bugs import bug_of
from flaxlayer_testing.run.expected import ExpectedFailure, of_generated
from flaxlayer_testing.run.failure import OURS, Failure
from flaxlayer_testing.run.loading import load_object
from flaxlayer_testing.run.search import Found, default_database
from flaxlayer_testing.run.search import search as search_modules
from flaxlayer_testing.run.trial import LOST
from flaxlayer_testing.spec.features import FEATURES

__all__ = ["replay", "search"]

FAILURE = Path("flaxlayer-failure.json")


def search(
    examples: Examples = 100,
    seed: Seed = 0,
    framework: Modules = "linen",
    features: Features = None,
    without: Without = None,
    layer: Layer = OURS,
    only: Only = None,
    exclude: Exclude = None,
    my_checks: MyChecks = None,
    slow: Slow = False,
    workers: Workers = 1,
    max_time: MaxTime = None,
    continue_after_failure: GoOn = False,
    no_database: NoDatabase = False,
    save: Saved = FAILURE,
    statistics: ShowStatistics = False,
    list_checks: ListChecks = False,
    list_features: ListFeatures = False,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Checks generated modules, all different; shrinks what fails and saves it."""
    known = {name: FEATURES[name] for name in features_of(framework)}
    with misuse():
        factory, chosen = load_object(layer), choose_checks(only, exclude, my_checks, slow=slow)
    if list_checks:
        listing.list_checks(chosen, json)
    if list_features:
        listing.list_features(known, json)
    known_names = names_of(chosen)
    excuses = of_generated(current_project(), kept=known_names)
    with misuse(), progress(examples):
        result = search_modules(
            examples=examples,
            seed=seed,
            layer=factory,
            only=known_names,
            given=chosen,
            framework=framework,
            features=_names(features),
            without=_names(without),
            workers=workers,
            max_time=max_time,
            continue_after_failure=continue_after_failure,
            database=None if no_database else default_database(),
            expected_failures=excuses,
        )
    _refuse_nothing(result.statistics)
    if statistics:
        say_statistics(result, known, "modules")
    given = None if layer == OURS else layer
    paths = numbered(save, len(result.bugs))
    failed = [
        _saved(found, path, result.failed, layer=given, modules=my_checks or ())
        for found, path in zip(result.bugs, paths, strict=True)
    ]
    say_ending(result.statistics, examples, "modules were checked")
    _say_stale(excuses, result.reports)
    after = (
        "another `--seed` draws other modules; `flaxlayer-conformance scenarios` uses layers as "
        "people do."
    )
    finish(Record((*result.reports, *failed)), Outputs(json, html, junit), after=after)


def _refuse_nothing(statistics: Statistics) -> None:
    if statistics.ending is Ending.EXHAUSTED and not statistics.distinct:
        with misuse():
            raise ReadSpecError(
                "No module shows these features.",
                expected="features of --features that go together, and with --without",
                found="no module among those that were drawn",
                fix="Ask for fewer.",
                law="T1",
            )


def _say_stale(excuses: Sequence[ExpectedFailure], reports: Sequence[Report]) -> None:
    for excuse in excuses:
        if not any(excuse.reason in _excused_in(report) for report in reports):
            typer.echo(f"The known failure of {excuse.check} did not come about: {excuse.reason}")


def _excused_in(report: Report) -> set[str]:
    return {entry.message for entry in report.of(Status.EXPECTED)}


def _names(texts: Sequence[str] | None) -> list[str]:
    return [name.strip() for text in texts or () for name in text.split(",") if name.strip()]


def _saved(
    found: Found,
    path: Path,
    failed: Sequence[Report],
    *,
    layer: str | None,
    modules: Sequence[str],
) -> Report:
    failure = replace(found.failure, layer=layer or OURS)
    failure.save(path)
    if found.bug.error == LOST:  # run again, it would end this process, too
        report = next(one for one in failed if found.bug in map(bug_of, one.failures))
    else:
        chosen = choose_checks([failure.check], None, modules)
        report = run_failure(failure, path, chosen, layer=layer, modules=modules)
    if not any(entry.program for entry in report.failures):
        typer.echo(f"The smallest failing module:\n\n{to_program(failure.case)}")
    say_written(path, found.bug, found.count, "module")
    return report


def replay(
    file: Annotated[Path, typer.Argument(help="What `search` or `scenarios` saved.")],
    only: Only = None,
    my_checks: MyChecks = None,
    my_steps: MySteps = None,
    layer: OtherLayer = None,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Runs a failure again that `search` or `scenarios` saved."""
    broken = _scenario_in(file)
    if broken is not None:
        replay_scenario(broken, file, Outputs(json, html, junit), layer=layer, steps=my_steps)
    with misuse():
        failure = Failure.load(file)
        chosen = choose_checks(only or [failure.check], None, my_checks)
        report = run_failure(failure, file, chosen, layer=layer, modules=my_checks or ())
    finish(Record((report,)), Outputs(json, html, junit), after=MENDED)


def _scenario_in(file: Path) -> BrokenLaw | None:
    try:
        return BrokenLaw.load(file)
    except (ReadRecordError, ReadSpecError):
        return None  # a failure of `search`, or neither, which `Failure.load` explains
