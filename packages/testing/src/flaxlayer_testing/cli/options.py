"""The options that several commands share (T8)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flaxlayer_testing.spec.spec import Framework

__all__ = [
    "Examples",
    "Exclude",
    "Features",
    "GoOn",
    "Html",
    "Inputs",
    "Json",
    "Junit",
    "Layer",
    "ListChecks",
    "ListFeatures",
    "MaxTime",
    "Modules",
    "MyChecks",
    "Names",
    "NoDatabase",
    "Only",
    "OtherLayer",
    "Saved",
    "Seed",
    "Seeds",
    "Settings",
    "ShowStatistics",
    "Slow",
    "Source",
    "Target",
    "TrainingArg",
    "Without",
    "Workers",
    "numbered",
]

Target = Annotated[str | None, typer.Argument(help="The module class, as package.module:Class.")]
Inputs = Annotated[
    list[str] | None,
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
Only = Annotated[
    list[str] | None,
    typer.Option(help="A check, or a pattern such as 'check_saved_*'; repeatable; all if none."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(help="A check, or a pattern, that is not to run; repeatable."),
]
MyChecks = Annotated[
    list[str] | None,
    typer.Option(
        "--checks",
        help="A Python module with checks of your own, under @flaxlayer_testing.check; repeatable.",
    ),
]
ListChecks = Annotated[
    bool,
    typer.Option(
        "--list-checks",
        help="List the checks that would run, and end; --json writes the list.",
    ),
]
Features = Annotated[
    list[str] | None,
    typer.Option(help="Features that every module shows, as dropout,setup; repeatable."),
]
Without = Annotated[
    list[str] | None, typer.Option(help="Features that no module shows; repeatable.")
]
ListFeatures = Annotated[
    bool,
    typer.Option(
        "--list-features",
        help="List the features that modules show, and end; --json writes the list.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(min=1, max=256, help="The number of processes; they find what one finds."),
]
MaxTime = Annotated[
    float | None,
    typer.Option(min=0, help="Seconds after which no further module is begun."),
]
GoOn = Annotated[
    bool,
    typer.Option(
        "--continue-after-failure",
        help="Go on after a failure, tell distinct bugs apart, and shrink each.",
    ),
]
NoDatabase = Annotated[
    bool,
    typer.Option(
        "--no-database",
        help="Neither try first what failed earlier, nor keep what fails, in Hypothesis's example "
        "database (.hypothesis, or HYPOTHESIS_STORAGE_DIRECTORY).",
    ),
]
ShowStatistics = Annotated[
    bool,
    typer.Option(
        "--statistics",
        help="Say what was drawn, how often each check ran or why not, and how long it took.",
    ),
]
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
Saved = Annotated[
    Path, typer.Option(help="Where a failure goes; further ones beside it, as NAME-2.")
]
Json = Annotated[Path | None, typer.Option("--json", help="Write the record into this file.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write a page into this file.")]
Junit = Annotated[Path | None, typer.Option("--junit", help="Write JUnit's XML into this file.")]


def numbered(save: Path, count: int) -> list[Path]:
    """Returns a file for each of some failures: the first as it was named, a number on the rest."""
    more = [save.with_stem(f"{save.stem}-{number}") for number in range(2, count + 1)]
    return [save, *more][:count]
