"""The command `flaxlayer-conformance` (T2, T8)."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flaxlayer_testing.checks import checks
from flaxlayer_testing.cli.targets import (
    choose,
    make_module,
    read_record,
    run_entry,
    run_failure,
    try_raw,
)
from flaxlayer_testing.render.program import to_program
from flaxlayer_testing.report.console import Outputs, command_line, finish, misuse, progress
from flaxlayer_testing.report.record import FaultResult, Record
from flaxlayer_testing.run.loading import load_object, parse_inputs, parse_settings
from flaxlayer_testing.run.running import run_report
from flaxlayer_testing.run.samples import ENTRIES, FAULTS, load_entries
from flaxlayer_testing.run.search import OURS, Failure, count_examples
from flaxlayer_testing.run.search import search as search_modules
from flaxlayer_testing.spec.spec import Framework
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

Target = Annotated[str, typer.Argument(help="The module class, as package.module:Class.")]
Inputs = Annotated[
    list[str],
    typer.Option("--input", help="An input, as 'float32[8,3]' or 'int32[8,16]<100'; repeatable."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A constructor argument, as features=3 (JSON); repeatable."),
]
TrainingArg = Annotated[
    str | None,
    typer.Option(help="The training argument, if not a customary name; ~name if it is inverted."),
]
Layer = Annotated[str, typer.Option(help="The layer under test, as package.module:Name.")]
OtherLayer = Annotated[
    str | None, typer.Option("--layer", help="Another layer under test, as package.module:Name.")
]
Only = Annotated[list[str] | None, typer.Option(help="A check; repeatable; all if none.")]
Names = Annotated[list[str] | None, typer.Option(help="An entry; repeatable; all if none.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same run.")]
Source = Annotated[
    str | None, typer.Option("--from", help="The entries, as package.module:entries.")
]
Slow = Annotated[bool, typer.Option("--slow", help="Run the checks that take long, too.")]
Seeds = Annotated[
    int, typer.Option(min=1, max=1000, help="The number of searches; their median counts.")
]
Examples = Annotated[int, typer.Option(min=1, max=10**6, help="The most modules to generate.")]
Modules = Annotated[Framework, typer.Option(help="What the modules are of.")]
Saved = Annotated[Path, typer.Option(help="Where a failure goes.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the record into this file.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write a page into this file.")]
Junit = Annotated[Path | None, typer.Option("--junit", help="Write JUnit's XML into this file.")]

FAILURE = Path("flaxlayer-failure.json")


@app.callback()
def _start() -> None:
    # What is named may stand in the current directory, as for `python -m`.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def _options(name: str, *values: str | None) -> list[str]:
    return [word for value in values if value for word in (name, value)]


@app.command()
def check(
    target: Target,
    inputs: Inputs,
    settings: Settings = None,
    training_arg: TrainingArg = None,
    layer: Layer = OURS,
    only: Only = None,
    slow: Slow = False,
    seed: Seed = 0,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Checks one module class."""
    words = [*_options("--input", *inputs), *_options("--set", *(settings or ()))]
    words += _options("--training-arg", training_arg)
    words += [] if layer == OURS else ["--layer", layer]
    with misuse():
        subject = Subject(
            make_module(target, parse_settings(settings or ())),
            parse_inputs(inputs, seed),
            seed=seed,
            layer=load_object(layer),
            training_arg=training_arg,
            command=command_line("check", target, *words, "--seed", str(seed)),
        )
        chosen = checks(only=only or None, slow=slow)
        try_raw(subject)
    with progress(len(chosen), unit="checks"):
        report = run_report(subject, only=only or None, slow=slow)
    Console().print(report)
    finish(Record((report,)), Outputs(json, html, junit))


@app.command()
def search(
    examples: Examples = 100,
    seed: Seed = 0,
    framework: Modules = "linen",
    layer: Layer = OURS,
    only: Only = None,
    slow: Slow = False,
    save: Saved = FAILURE,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Checks generated modules; stops at a failure, shrinks it and saves it."""
    with misuse():
        factory, chosen = load_object(layer), checks(only=only or None, slow=slow)
    names = [check.name for check in chosen]
    with progress(examples):
        result = search_modules(
            examples=examples, seed=seed, layer=factory, only=names, framework=framework
        )
    reports = list(result.reports)
    if result.failure is not None:
        failure = replace(result.failure, layer=layer)
        failure.save(save)
        reports.append(run_failure(failure, save, (), layer=None if layer == OURS else layer))
        if not any(entry.program for entry in reports[-1].failures):
            typer.echo(f"The smallest failing module:\n\n{to_program(failure.case)}")
        typer.echo(f"Wrote {save}")
    finish(Record(tuple(reports)), Outputs(json, html, junit))


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="What `search` saved.")],
    only: Only = None,
    layer: OtherLayer = None,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Runs a failure again that `search` saved."""
    with misuse():
        failure = Failure.load(file)
        report = run_failure(failure, file, only or (), layer=layer)
    finish(Record((report,)), Outputs(json, html, junit))


@app.command()
def zoo(
    source: Source = None,
    entry: Names = None,
    layer: OtherLayer = None,
    only: Only = None,
    slow: Slow = False,
    json: Json = None,
    html: Html = None,
    junit: Junit = None,
) -> None:
    """Checks every module of a zoo."""
    with misuse():
        name, entries = load_entries(source, "conformance.zoo:every_entry", ENTRIES)
        chosen = choose(entries, entry or (), name_of=lambda one: str(one.name))
        other = load_object(layer) if layer else None
        names = [check.name for check in checks(only=only or None, slow=slow)]
    words = ["zoo", *_options("--from", name), *_options("--layer", layer)]
    run = partial(run_entry, words=words, layer=other, only=names)
    with progress(len(chosen)):
        reports = tuple(map(run, chosen))
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
