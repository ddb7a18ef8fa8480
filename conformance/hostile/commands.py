"""The routes of the command line: records, failures, and the specs in them (T8)."""

from __future__ import annotations

import contextlib
import io
import random
import tempfile
from pathlib import Path
from typing import Any

import typer

from conformance.hostile.route import Route, change_json_file
from conformance.hostile.verdict import MOST_CHARACTERS, Fault
from flaxlayer_testing import (
    Case,
    Entry,
    FaultResult,
    ModuleSpec,
    Node,
    Record,
    Report,
    Status,
    Subject,
    ValueType,
)
from flaxlayer_testing.cli.app import app
from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.run.failure import Failure

__all__ = ["ROUTES", "make_records"]

_COMMAND = typer.main.get_command(app)
_CHECKS = ("check_inference", "check_build_paths")


def make_records(folder: Path) -> None:
    """Writes a record of what was checked."""
    passed = Entry("check_fit", ("K1",), Status.PASSED, errors={"float32": 2e-7}, seconds=1.5)
    failed = Entry("check_fit", ("K1",), Status.FAILED, "a [/b] is markup", "ParityError")
    report = Report(
        "Dense", "flaxlayer:FlaxLayer", (passed, failed), {"jax": "0.10"}, 3, ("dense",)
    )
    fault = FaultResult("ForgetsBias", "check_inference", 20, 4, "", (4,))
    Record((report,), (fault,)).write(folder / "record.json")


def _cases() -> list[Case]:
    relu = Node("activation", (0,), (("function", "relu"),))
    inner = Node("nested", (1,), (), ModuleSpec((ValueType((3,)),), (relu,), (1,)))
    dense = Node("dense", (0,), (("features", 2),))
    return [
        Case(ModuleSpec((ValueType((3,)),), (relu, inner), (2,))),
        Case(ModuleSpec((ValueType((3,)),), (dense,), (1,))),
    ]


def _make_failures(folder: Path) -> None:
    for number, case in enumerate(_cases()):
        Failure(case, _CHECKS[number]).save(folder / f"failure{number}.json")


def _make_specs(folder: Path) -> None:
    for number, case in enumerate(_cases()):
        (folder / f"case{number}.json").write_text(case.to_json(), encoding="utf-8")


def _run(*words: str) -> None:
    """Runs the command; 0 and 1 say that it read the file.

    Raises:
        ReadSpecError: What it said, where it ended with 2.
        Fault: If it ended otherwise.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _COMMAND.main(list(words), prog_name="flaxlayer-conformance", standalone_mode=False)
    if code == 2:
        raise ReadSpecError(err.getvalue())
    if code not in (0, 1, None):
        raise Fault(f"the command ended with {code}")
    if code == 0 and len(out.getvalue()) > 50 * MOST_CHARACTERS:
        raise Fault(f"{len(out.getvalue()):,} characters were shown")


def _report(path: Path, rng: random.Random) -> Any:
    folder = Path(tempfile.gettempdir())
    page, junit = folder / "report.html", folder / "report.xml"
    _run("report", str(path), "--html", str(page), "--junit", str(junit))


def _replay(path: Path, rng: random.Random) -> Any:
    _run("replay", str(path))


def _read_spec(path: Path, rng: random.Random) -> Any:
    Subject.from_case(Case.from_json(path.read_text(encoding="utf-8", errors="surrogateescape")))


ROUTES = (
    Route("report", make_records, change_json_file, _report, share=8),
    Route("replay", _make_failures, change_json_file, _replay, share=5),
    Route("spec", _make_specs, change_json_file, _read_spec, share=8),
)
