"""The pytest plugin: it registers a marker and options, and imports nothing that is heavy (T2).

`pytest --flaxlayer-report DIR` writes what the checks of a session found into `DIR/report.json` and
`DIR/report.html`, also under pytest-xdist.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from flaxlayer_testing.project import (
    Project,
    read_project,
    set_project,
    set_pytest_root,
)

__all__ = ["FILES"]

FILES = ("report.json", "report.html")

_CHOICES = {
    "only": "run this check of `parametrize_checks`, or those of a pattern; repeatable",
    "exclude": "leave out this check of `parametrize_checks`, or those of a pattern; repeatable",
}

MARKER = "flaxlayer: a check of a Flax module, made by `flaxlayer_testing.parametrize_checks`"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("flaxlayer", "checks of Flax modules")
    group.addoption(
        "--flaxlayer-report",
        metavar="DIR",
        type=Path,
        help="write what the checks of Flax modules found into DIR, as JSON and as a page",
    )
    for name, text in _CHOICES.items():
        group.addoption(
            f"--flaxlayer-{name}", metavar="CHECK", action="append", default=[], help=text
        )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker; loads what collects the reports only if it is asked for.

    Raises:
        pytest.UsageError: If the reports cannot be written where they are asked for, or the table
            of the project cannot be read.
    """
    config.addinivalue_line("markers", MARKER)
    set_pytest_root(config.rootpath)
    set_project(_project(config))
    folder = config.getoption("--flaxlayer-report")
    if folder is not None:
        worker = hasattr(config, "workerinput")
        if not worker:
            _make(folder)
        importlib.import_module("flaxlayer_core").prefer_jax()  # Keras comes next
        collecting = importlib.import_module("flaxlayer_testing.collecting")
        config.pluginmanager.register(collecting.Collector(folder, FILES, worker=worker))


def pytest_unconfigure() -> None:
    """Forgets the session."""
    set_pytest_root(None)
    set_project(None)


def _project(config: pytest.Config) -> Project:
    try:
        project = read_project(config.rootpath)
    except ValueError as error:  # a `ReadProjectError`, whose class imports JAX
        raise pytest.UsageError(str(error)) from error
    only, exclude = (tuple(config.getoption(f"--flaxlayer-{name}")) for name in _CHOICES)
    left_out = (*(() if only else project.exclude), *exclude)
    return replace(project, only=only or project.only, exclude=left_out)


def _make(folder: Path) -> None:
    # Before the tests run, as they may take long.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        problem = "" if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written to"
        odd = [name for name in FILES if (folder / name).is_dir()]
        problem = f"its {odd[0]} is a folder" if odd else problem
    except (OSError, ValueError) as error:
        problem = f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
    if problem:
        message = f"--flaxlayer-report {str(folder)[:200]!r}: {problem[:200]}"
        raise pytest.UsageError(message)
