"""Lets a process import a mutant in the place of the module that it changes; no file is touched."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType

from conformance.mutants.entry import ROOT, SOURCES, Mutant

__all__ = ["VARIABLE", "environment", "install", "stand_in"]

VARIABLE = "FLAXLAYER_MUTANT"
"""The slug of the mutant that a process and those that it starts run with."""

STARTUP = Path(__file__).parents[1] / "startup"


class _Loader(importlib.machinery.SourceFileLoader):
    """Makes the module of a text, not of the file nor of what Python has compiled of it before."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_source(self, fullname: str) -> str:
        return self._text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._text, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, module: str, path: Path, text: str) -> None:
        self._module, self._path, self._text = module, path, text

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        is_package = self._path.name == "__init__.py"
        return importlib.util.spec_from_file_location(
            fullname,
            self._path,
            loader=_Loader(fullname, str(self._path), self._text),
            submodule_search_locations=[str(self._path.parent)] if is_package else None,
        )


def stand_in(module: str, path: Path, text: str) -> None:
    """Lets this process import a text in the place of a module's source.

    Args:
        module: The full name of the module.
        path: The file that it has else.
        text: The source.

    Raises:
        RuntimeError: If the module has been imported already.
    """
    if module in sys.modules:
        raise RuntimeError(f"{module} is imported already")
    sys.meta_path.insert(0, _Finder(module, path, text))


def install(mutant: Mutant) -> None:
    """Makes a mutant of this process, and of the Python processes that it starts.

    Raises:
        StaleMutantError: If the mutant does not apply.
        RuntimeError: If the module has been imported already.
    """
    stand_in(mutant.module, mutant.path, mutant.source())
    os.environ.update(environment(mutant, os.environ))


def environment(mutant: Mutant, outer: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that a command runs with, so that each Python in it is the mutant.

    Args:
        mutant: The mutant.
        outer: The variables that the command would have else.
    """
    mutant.source()  # a stale one says so here, not in a process at its start
    known = outer.get("PYTHONPATH", "").split(os.pathsep)
    own = [str(STARTUP), str(ROOT), *map(str, SOURCES.values())]
    places = [*own, *(place for place in known if place and place not in own)]
    return {**outer, VARIABLE: mutant.slug, "PYTHONPATH": os.pathsep.join(places)}
