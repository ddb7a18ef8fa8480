"""Faulty layers, each broken in one way, and the check and message that must catch it (T5).

A fault is one class under `@fault(...)` in any file of this folder: the folder is listed.
"""

import importlib
import pkgutil

import flax.nnx

from conformance.faults.entry import FAULTS, Fault

__all__ = ["FAULTS", "Fault"]

# nnx modules ask for Flax 0.11.
_HIDDEN = () if hasattr(flax.nnx, "data") else ("nnx",)

for _file in sorted(info.name for info in pkgutil.iter_modules(__path__)):
    if _file not in _HIDDEN:
        importlib.import_module(f"{__name__}.{_file}")
