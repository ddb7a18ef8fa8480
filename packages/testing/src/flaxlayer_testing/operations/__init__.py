"""The registry of operations that a spec may use."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flaxlayer_testing.operations.arrays import ARRAYS
from flaxlayer_testing.operations.base import VOCABULARY, Choices, Operation, Site, Traits
from flaxlayer_testing.operations.custom import CUSTOM
from flaxlayer_testing.operations.layers import LAYERS
from flaxlayer_testing.operations.sequences import SEQUENCES

__all__ = ["OPERATIONS", "VOCABULARY", "Choices", "Operation", "Site", "Traits"]

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {operation.name: operation for operation in (*LAYERS, *ARRAYS, *CUSTOM, *SEQUENCES)}
)
"""Every operation by name, the simplest first: Hypothesis shrinks towards the front."""
