"""Mutants: named changes of the product's own source, which scenario search has to find (T11).

A mutant is one call of `mutant(...)` in any file of this folder: the folder is listed.
"""

import importlib
import pkgutil

from conformance.mutants.entry import KINDS, MUTANTS, Mutant, StaleMutantError, find
from conformance.mutants.tools.importing import install

__all__ = ["KINDS", "MUTANTS", "Mutant", "StaleMutantError", "find", "install"]

for _file in sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.ispkg):
    if _file != "__main__":
        importlib.import_module(f"{__name__}.{_file}")
