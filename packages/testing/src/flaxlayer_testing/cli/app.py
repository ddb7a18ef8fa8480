"""The command `flaxlayer-conformance` (T2, T8)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.console import Console

from flaxlayer_testing.checks import Check, checks
from flaxlayer_testing.cli import listing
from flaxlayer_testing.cli.options import (
    Examples,
    Exclude,
    Html,
    Inputs,
    Json,
    Junit,
    Layer,
    ListChecks,
    ListFeatures,
    Modules,
    MyChecks,
    Names,
    Only,
    OtherLayer,
    Saved,
    Seed,
    Seeds,
    Settings,
    Slow,
    Source,
    Target,
    TrainingArg,
)
from flaxlayer_testing.cli.targets import (
    choose,
    make_module,
    read_record,
    run_entry,
    run_failure,
    try_raw,
)
from flaxlayer_testing.generate.nnx_strategies import NNX_FEATURES
from flaxlayer_testing.render.program import to_program
from flaxlayer_testing.report.console import Outputs, command_line, finish, misuse, progress
from flaxlayer_testing.report.record import FaultResult, Record
from flaxlayer_testing.run.loading import load_checks, load_object, parse_inputs, parse_settings
from flaxlayer_testing.run.probes import PROBE, checks_of
from flaxlayer_testing.run.running import run_report
from flaxlayer_testing.run.samples import ENTRIES, FAULTS, load_entries
from flaxlayer_testing.run.search import OURS, Failure, count_examples
from flaxlayer_testing.run.search import search as search_modules
from flaxlayer_testing.spec.features import FEATURES
from flaxlayer_testing.subject.subject import Subject

__all__ = ["app"]

app = typer.Typer(
    name="flaxlayer-conformance",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Checks that a Keras layer runs Flax modules as raw Flax does. Ends with 0 if all passed, "
    "1 if something failed, 2 if the command was misused.",
)

FAILURE = Path("flaxlayer-failure.json")

_FEATURES = {"linen": FEATURES, "nnx": {name: FEATURES[name] for name in NNX_FEATURES}}


@app.callback()
def _start() -> None:
    # What is named may stand in the current directory, as for `python -m`.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


Chosen = tuple[Check, ...]


def _chosen(
    only: list[str] | None,
    exclude: list[str] | None,
    modules: list[str] | None,
    *,
    slow: bool = False,
    also: Sequence[Check] = (),
) -> Chosen:
    given: list[Check | ModuleType] = [load_checks(name) for name in modules or ()]
    given += also
    return checks(only=only or None, exclude=exclude or (), given=given, slow=slow)


def _names(chosen: Chosen) -> list[str]:
    return [check.name for check in chosen]


def _options(name: str, *values: str | None) -> list[str]:
    return [word for value in values if value for word in (name, value)]


@app.command()
def check(
    target: Target = None,
    inputs: Inputs = None,
    settings: Settings = None,
    training_arg: TrainingArg = None,
    layer: Layer = OURS,
    only: Only = None,
    exclude: Exclude = None,
    my_checks: MyChecks = None,
    slow: Slow = False,
    seed: Seed = 0,
    list_checks: ListChecks = False,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Checks one module class."""
    with misuse():
        chosen = _chosen(only, exclude, my_checks, slow=slow)
    if list_checks:
        listing.list_checks(chosen, json)
    if target is None or not inputs:
        missing = "TARGET" if target is None else "--input"
        raise typer.BadParameter("It names what to check.", param_hint=missing)
    words = [*_options("--input", *inputs), *_options("--set", *(settings or ()))]
    words += _options("--training-arg", training_arg)
    words += [] if layer == OURS else ["--layer", layer]
    words += _options("--checks", *(my_checks or ()))
    with misuse():
        subject = Subject(
            make_module(target, parse_settings(settings or ())),
            parse_inputs(inputs, seed),
            seed=seed,
            layer=load_object(layer),
            training_arg=training_arg,
            command=command_line("check", target, *words, "--seed", str(seed)),
        )
        try_raw(subject)
    with progress(len(chosen), unit="checks"):
        report = run_report(subject, only=_names(chosen), given=chosen)
    Console().print(report)
    finish(Record((report,)), Outputs(json, html, junit))


@app.command()
def search(
    examples: Examples = 100,
    seed: Seed = 0,
    framework: Modules = "linen",
    layer: Layer = OURS,
    only: Only = None,
    exclude: Exclude = None,
    my_checks: MyChecks = None,
    slow: Slow = False,
    save: Saved = FAILURE,
    list_checks: ListChecks = False,
    list_features: ListFeatures = False,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Checks generated modules; stops at a failure, shrinks it and saves it."""
    with misuse():
        factory, chosen = load_object(layer), _chosen(only, exclude, my_checks, slow=slow)
    if list_checks:
        listing.list_checks(chosen, json)
    if list_features:
        listing.list_features(_FEATURES[framework], json)
    names = _names(chosen)
    with progress(examples):
        result = search_modules(
            examples=examples, seed=seed, layer=factory, only=names, framework=framework
        )
    reports = list(result.reports)
    if result.failure is not None:
        failure = replace(result.failure, layer=layer)
        failure.save(save)
        (failed,) = checks(only=[failure.check])
        given = None if layer == OURS else layer
        reports.append(run_failure(failure, save, [failed], layer=given, modules=my_checks or ()))
        if not any(entry.program for entry in reports[-1].failures):
            typer.echo(f"The smallest failing module:\n\n{to_program(failure.case)}")
        typer.echo(f"Wrote {save}")
    finish(Record(tuple(reports)), Outputs(json, html, junit))


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="What `search` saved.")],
    only: Only = None,
    my_checks: MyChecks = None,
    layer: OtherLayer = None,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Runs a failure again that `search` saved."""
    with misuse():
        failure = Failure.load(file)
        chosen = _chosen(only or [failure.check], None, my_checks)
        report = run_failure(failure, file, chosen, layer=layer, modules=my_checks or ())
    finish(Record((report,)), Outputs(json, html, junit))


@app.command()
def zoo(
    source: Source = None,
    entry: Names = None,
    layer: OtherLayer = None,
    only: Only = None,
    exclude: Exclude = None,
    my_checks: MyChecks = None,
    slow: Slow = False,
    list_checks: ListChecks = False,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Checks every module of a zoo."""
    with misuse():
        wanted = _chosen(only, exclude, my_checks, slow=slow, also=[PROBE])
        if list_checks:
            listing.list_checks(wanted, json)
        name, entries = load_entries(source, "conformance.zoo:every_entry", ENTRIES)
        chosen = choose(entries, entry or (), name_of=lambda one: str(one.name))
        other = load_object(layer) if layer else None
    words = ["zoo", *_options("--from", name), *_options("--layer", layer)]
    words += _options("--checks", *(my_checks or ()))
    run = partial(run_entry, words=words, layer=other)
    checked = [(one, checks_of(one, wanted, other=other is not None)) for one in chosen]
    checked = [(one, own) for one, own in checked if own]
    with progress(len(checked)):
        reports = tuple(run(one, chosen=own) for one, own in checked)
    finish(Record(reports), Outputs(json, html, junit))


@app.command()
def faults(
    source: Source = None,
    entry: Names = None,
    seed: Seed = 2,
    seeds: Seeds = 1,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Searches for every faulty layer, and counts the generated modules that it needs."""
    with misuse():
        name, entries = load_entries(source, "conformance.faults:FAULTS", FAULTS)
        chosen = choose(entries, entry or (), name_of=lambda fault: str(fault.layer.__name__))
    results: list[FaultResult] = []
    with progress(len(chosen), unit="faults") as shown:
        for fault in chosen:
            results.append(count_examples(fault, seed=seed, seeds=seeds))
            typer.echo(_line(results[-1]))
            shown.advance(shown.task_ids[0])
    words = ["faults", *_options("--from", name), "--seed", str(seed), "--seeds", str(seeds)]
    finish(
        Record(faults=tuple(results)),
        Outputs(json, html, junit),
        replay=command_line(*words, "--entry"),
    )


def _line(result: FaultResult) -> str:
    found = "not found" if result.needed is None else f"{result.needed:g}"
    return f"{result.fault}: {found} of {result.budget}, {result.check}"


@app.command()
def report(
    files: Annotated[list[Path], typer.Argument(help="Records, as --json wrote them.")],
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Joins records into one, and into one page."""
    with misuse():
        record = Record.join(map(read_record, files))
    finish(record, Outputs(json, html, junit), ran=False)


if __name__ == "__main__":
    app()
