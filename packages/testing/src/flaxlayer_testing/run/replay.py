"""Runs a generated case or scenario again: `python -m flaxlayer_testing.run.replay` (T1, T8)."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import Any

from flaxlayer_testing.checks import checks
from flaxlayer_testing.scenario.course import run_scenario
from flaxlayer_testing.scenario.scenario import Scenario
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.layer import LayerFactory
from flaxlayer_testing.subject.subject import Subject

__all__ = ["main"]


def _load(path: str) -> LayerFactory:
    module, _, name = path.partition(":")
    factory: LayerFactory = getattr(importlib.import_module(module), name)
    return factory


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the check or the scenario of the arguments; what it raises is the interpreter's.

    Args:
        arguments: Of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m flaxlayer_testing.run.replay")
    parser.add_argument("--check", help="the name of a check")
    parser.add_argument("--scenario", action="store_true", help="the JSON is that of a scenario")
    parser.add_argument("--steps", action="append", default=[], help="a module of steps")
    parser.add_argument("--layer", default="flaxlayer:FlaxLayer", help="module:name of the layer")
    parser.add_argument("--checks", action="append", default=[], help="a module of checks")
    parser.add_argument("case", help="the JSON of the case")
    given: Any = parser.parse_args(arguments)
    if given.scenario:
        for name in given.steps:
            importlib.import_module(name)
        print(run_scenario(Scenario.from_json(given.case), _load(given.layer)))
        return
    if not given.check:
        parser.error("name a --check, or give a --scenario")
    (check,) = checks(only=[given.check], given=map(importlib.import_module, given.checks))
    errors = check.function(Subject.from_case(Case.from_json(given.case), layer=_load(given.layer)))
    print(f"{check.name} passed; largest errors: {dict(errors or {})}")


if __name__ == "__main__":
    main()
