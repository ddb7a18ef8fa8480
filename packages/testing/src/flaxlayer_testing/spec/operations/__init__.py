"""The registry of operations that a spec may use.

An operation is an entry of the `PART` of any file of this room: the room is listed, so that a new
one needs no entry elsewhere. What it takes and makes, what it shows, and how each framework does it
stand there together.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

import flax.linen as nn

from flaxlayer_testing.spec.operations.operation import (
    VOCABULARY,
    Choices,
    Operation,
    Part,
    Traits,
)

__all__ = ["OPERATIONS", "PARTS", "VOCABULARY", "Choices", "Operation", "Part", "Traits"]


def _find_parts() -> tuple[Part, ...]:
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    files = [importlib.import_module(f"{__name__}.{name}") for name in names]
    parts: list[Part] = [file.PART for file in files if hasattr(file, "PART")]
    return tuple(sorted(parts, key=lambda part: part.place))


PARTS = _find_parts()
"""What each file holds."""

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        operation.name: operation
        for part in PARTS
        for operation in part.operations
        if not operation.needs or hasattr(nn, operation.needs)
    }
)
"""Every operation that this Flax has, the simplest first: Hypothesis shrinks towards the front."""
