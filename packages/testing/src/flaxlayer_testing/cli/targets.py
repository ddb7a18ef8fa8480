"""What the command runs: subjects of classes, of entries of a zoo, and of saved failures (T8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from flax import nnx

from flaxlayer_testing.checks import Check
from flaxlayer_testing.errors import LoadTargetError, ReadRecordError, in_short
from flaxlayer_testing.project import current_project
from flaxlayer_testing.report.console import command_line
from flaxlayer_testing.report.record import Record
from flaxlayer_testing.report.report import Report
from flaxlayer_testing.run.expected import known_of, of_project
from flaxlayer_testing.run.failure import OURS, Failure
from flaxlayer_testing.run.loading import load_object
from flaxlayer_testing.run.running import run_report
from flaxlayer_testing.run.samples import subject_of
from flaxlayer_testing.stored import read
from flaxlayer_testing.subject.layer import LayerFactory
from flaxlayer_testing.subject.subject import Subject

__all__ = ["choose", "make_module", "read_record", "run_entry", "run_failure", "try_raw"]


def make_module(target: str, settings: Mapping[str, Any]) -> Any:
    """Makes the module that the user named.

    Args:
        target: `package.module:Class`.
        settings: Its constructor arguments.

    Returns:
        The module; of a class of nnx what makes one, with keys of its own choice.

    Raises:
        LoadTargetError: If there is no such class, or it does not take the arguments.

    Example:

    ```python
    >>> make_module("flax.linen:Dense", {"features": 3}).features
    3

    ```
    """
    kind = load_object(target)
    if isinstance(kind, type) and issubclass(kind, nnx.Module):
        return partial(kind, **settings)
    try:
        return kind(**settings)
    except Exception as error:  # whatever the user's own constructor raises
        raise LoadTargetError(
            f"{target} cannot be made.",
            expected="a module class that takes the arguments of --set",
            found=in_short(error),
            fix="Correct --set.",
            law="T8",
        ) from error


def try_raw(subject: Subject) -> None:
    """Initialises a subject by raw Flax, so that inputs that do not fit are no layer's failure.

    Args:
        subject: What is to be checked.

    Raises:
        LoadTargetError: If raw Flax refuses.
    """
    try:
        _ = subject.oracle.stored
    except Exception as error:  # whatever raw Flax raises
        raise LoadTargetError(
            f"Raw Flax cannot initialise {type(subject.module).__name__} with these inputs.",
            expected="inputs and a training argument that its method takes",
            found=in_short(error),
            fix="Correct --input, --set or --training-arg.",
            law="T8",
        ) from error


def run_failure(
    failure: Failure,
    path: Path,
    chosen: Sequence[Check],
    *,
    layer: str | None = None,
    modules: Sequence[str] = (),
) -> Report:
    """Runs a saved failure again.

    Args:
        failure: What was saved.
        path: The file, which the command for it names.
        chosen: The checks to run.
        layer: The layer to run, as `module:name`; ours if None. What a file names is never
            imported (S6).
        modules: Names of Python modules with checks, for the command.

    Returns:
        The report.

    Raises:
        LoadTargetError: If the file names another layer, and `layer` is None.
    """
    if layer is None and failure.layer != OURS:
        raise LoadTargetError(
            f"{path} was saved for another layer, which is not imported by a file's word.",
            expected="--layer, or a file for flaxlayer:FlaxLayer",
            found=repr(failure.layer)[:200],
            fix="Name the layer, if you know it: --layer package.module:Name.",
            law="S6",
        )
    subject = Subject.from_case(failure.case, layer=load_object(layer or OURS))
    words = ["replay", str(path), *(("--layer", layer) if layer else ())]
    words += [word for name in modules for word in ("--checks", name)]
    subject = replace(subject, command=command_line(*words))
    return run_report(subject, only=[check.name for check in chosen], given=chosen)


def run_entry(
    entry: Any, *, words: Sequence[str], layer: LayerFactory | None, chosen: Sequence[Check]
) -> Report:
    """Runs the checks of an entry of a zoo.

    Args:
        entry: A `Sample`, or what has its attributes.
        words: What the command for it starts with.
        layer: Makes another layer than that of the entry.
        chosen: The checks to run.

    Returns:
        The report.
    """
    if layer is not None and getattr(entry, "settings", None):
        layer = partial(layer, **entry.settings)
    command = command_line(*words, "--entry", entry.name)
    subject = subject_of(entry, layer=layer, command=command)
    names = [check.name for check in chosen]
    own = [known for known in getattr(entry, "known", ()) if known.check in names]
    known = [*own, *known_of(of_project(current_project(), kept=names), subject)]
    return run_report(subject, only=names, given=chosen, expected_failures=known)


def choose(
    entries: Sequence[Any], names: Sequence[str], *, name_of: Callable[[Any], str]
) -> list[Any]:
    """Returns the entries of these names; all if there are none.

    Args:
        entries: Of a zoo, or faults.
        names: The names.
        name_of: Returns the name of an entry.

    Returns:
        The entries.

    Raises:
        LoadTargetError: If there is no entry of a name.

    Example:

    ```python
    >>> choose(["a", "b"], ["b"], name_of=str)
    ['b']

    ```
    """
    known = {name_of(entry): entry for entry in entries}
    missing = [name for name in names if name not in known]
    if missing:
        raise LoadTargetError(
            "There is no such entry.",
            expected="one of: " + ", ".join(known),
            found=", ".join(missing),
            fix="Correct the name.",
            law="T8",
        )
    return [known[name] for name in names] or list(known.values())


def read_record(path: Path) -> Record:
    """Reads a record from a file.

    Args:
        path: The file.

    Returns:
        The record.

    Raises:
        ReadRecordError: If it cannot be read, or holds none.
    """
    try:
        return Record.from_json(read(path))
    except (OSError, ValueError) as error:
        raise ReadRecordError(
            f"{path} cannot be read.",
            expected="a record that --json or --flaxlayer-report wrote",
            found=in_short(error),
            fix="Name that file.",
            law="T8",
        ) from error
