"""Runs one check of a generated case again: `python -m flaxlayer_testing.run.replay` (T1, T8)."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import Any

from flaxlayer_testing.checks import checks
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.layer import LayerFactory
from flaxlayer_testing.subject.subject import Subject

__all__ = ["main"]


def _load(path: str) -> LayerFactory:
    module, _, name = path.partition(":")
    factory: LayerFactory = getattr(importlib.import_module(module), name)
    return factory


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the check that the arguments name; what it raises is left to the interpreter.

    Args:
        arguments: Of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m flaxlayer_testing.run.replay")
    parser.add_argument("--check", required=True, help="the name of a check")
    parser.add_argument("--layer", default="flaxlayer:FlaxLayer", help="module:name of the layer")
    parser.add_argument("--checks", action="append", default=[], help="a module of checks")
    parser.add_argument("case", help="the JSON of the case")
    given: Any = parser.parse_args(arguments)
    (check,) = checks(only=[given.check], given=map(importlib.import_module, given.checks))
    errors = check.function(Subject.from_case(Case.from_json(given.case), layer=_load(given.layer)))
    print(f"{check.name} passed; largest errors: {dict(errors or {})}")


if __name__ == "__main__":
    main()
