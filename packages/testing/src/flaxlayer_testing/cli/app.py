"""The command `flaxlayer-conformance` (T2, T8)."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flaxlayer_testing.cli import listing
from flaxlayer_testing.cli.choice import choose_checks, names_of, options
from flaxlayer_testing.cli.options import (
    Exclude,
    Html,
    Inputs,
    Json,
    Junit,
    Layer,
    ListChecks,
    MyChecks,
    Names,
    Only,
    OtherLayer,
    Seed,
    Seeds,
    Settings,
    Slow,
    Source,
    Target,
    TrainingArg,
)
from flaxlayer_testing.cli.scenario_search import scenarios
from flaxlayer_testing.cli.searching import replay, search
from flaxlayer_testing.cli.targets import (
    choose,
    make_module,
    read_record,
    run_entry,
    try_raw,
)
from flaxlayer_testing.project import current_project, read_project, set_project
from flaxlayer_testing.report.console import Outputs, command_line, finish, misuse
from flaxlayer_testing.report.progress import progress
from flaxlayer_testing.report.record import FaultResult, Record
from flaxlayer_testing.run.expected import of_project
from flaxlayer_testing.run.failure import OURS
from flaxlayer_testing.run.fault_search import count_examples
from flaxlayer_testing.run.loading import load_object, parse_inputs, parse_settings
from flaxlayer_testing.run.probes import PROBE, checks_of
from flaxlayer_testing.run.running import run_report
from flaxlayer_testing.run.samples import ENTRIES, FAULTS, load_entries
from flaxlayer_testing.subject.subject import Subject

__all__ = ["app"]

app = typer.Typer(
    name="flaxlayer-conformance",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its columns cut long options off
    help="Checks that a Keras layer runs Flax modules as raw Flax does. Ends with 0 if all passed, "
    "1 if something failed, 2 if the command was misused.",
)


@app.callback()
def _start(context: typer.Context) -> None:
    # What is named may stand in the current directory, as for `python -m`.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    with misuse():
        project = read_project(Path.cwd())
    set_project(project)
    options = ("examples", "seed", "workers", "max_time")
    found = {name: getattr(project, name) for name in options}
    defaults = {name: value for name, value in found.items() if value is not None}
    context.default_map = {"check": defaults, "search": defaults}


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
        chosen = choose_checks(only, exclude, my_checks, slow=slow)
    if list_checks:
        listing.list_checks(chosen, json)
    if target is None or not inputs:
        missing = "TARGET" if target is None else "--input"
        raise typer.BadParameter("It names what to check.", param_hint=missing)
    words = [*options("--input", *inputs), *options("--set", *(settings or ()))]
    words += options("--training-arg", training_arg)
    words += [] if layer == OURS else ["--layer", layer]
    words += options("--checks", *(my_checks or ()))
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
    names = names_of(chosen)
    known = of_project(current_project(), kept=names)
    with misuse(), progress(len(chosen), unit="checks"):
        report = run_report(subject, only=names, given=chosen, expected_failures=known)
    Console().print(report)
    after = (
        "`--slow` adds checks that take long; `flaxlayer_testing.parametrize_checks` makes each "
        "a test of pytest."
    )
    finish(Record((report,)), Outputs(json, html, junit), after=after)


app.command()(search)
app.command()(scenarios)
app.command()(replay)


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
        wanted = choose_checks(only, exclude, my_checks, slow=slow, also=[PROBE])
        if list_checks:
            listing.list_checks(wanted, json)
        name, entries = load_entries(source, "conformance.zoo:every_entry", ENTRIES)
        chosen = choose(entries, entry or (), name_of=lambda one: str(one.name))
        other = load_object(layer) if layer else None
    words = ["zoo", *options("--from", name), *options("--layer", layer)]
    words += options("--checks", *(my_checks or ()))
    run = partial(run_entry, words=words, layer=other)
    checked = [(one, checks_of(one, wanted, other=other is not None)) for one in chosen]
    checked = [(one, own) for one, own in checked if own]
    with progress(len(checked)):
        reports = tuple(run(one, chosen=own) for one, own in checked)
    after = "`flaxlayer-conformance faults` tells whether the checks can fail."
    finish(Record(reports), Outputs(json, html, junit), after=after)


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
            shown.advance()
    words = ["faults", *options("--from", name), "--seed", str(seed), "--seeds", str(seeds)]
    finish(
        Record(faults=tuple(results)),
        Outputs(json, html, junit),
        replay=command_line(*words, "--entry"),
        after="`--seeds 10` counts over ten searches.",
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
