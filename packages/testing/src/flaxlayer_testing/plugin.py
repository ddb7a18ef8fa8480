"""The pytest plugin: it registers a marker and options, and imports nothing that is heavy (T2).

`pytest --flaxlayer-report DIR` writes what the checks of a session found into `DIR/report.json` and
`DIR/report.html`, also under pytest-xdist.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

__all__: list[str] = []

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


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker; loads what collects the reports only if it is asked for."""
    config.addinivalue_line("markers", MARKER)
    folder = config.getoption("--flaxlayer-report")
    if folder is not None:
        importlib.import_module("flaxlayer_core.keras_backend").prefer_jax()  # Keras comes next
        collecting = importlib.import_module("flaxlayer_testing.collecting")
        worker = hasattr(config, "workerinput")
        config.pluginmanager.register(collecting.Collector(folder, worker=worker))
