"""The registry of operations that a spec may use."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import flax.linen as nn

from flaxlayer_testing.spec.operations.arrays import ARRAYS
from flaxlayer_testing.spec.operations.convolutions import CONVOLUTIONS
from flaxlayer_testing.spec.operations.custom import CUSTOM
from flaxlayer_testing.spec.operations.lifted import CONTROL
from flaxlayer_testing.spec.operations.linear import LINEAR
from flaxlayer_testing.spec.operations.masks import MASKS
from flaxlayer_testing.spec.operations.norms import NORMS
from flaxlayer_testing.spec.operations.operation import VOCABULARY, Choices, Operation, Traits
from flaxlayer_testing.spec.operations.sequences import SEQUENCES
from flaxlayer_testing.spec.operations.structure import STRUCTURE

__all__ = ["OPERATIONS", "VOCABULARY", "Choices", "Operation", "Traits"]

_PARTS = (
    *(LINEAR, CONVOLUTIONS, NORMS, ARRAYS, CUSTOM),
    *(STRUCTURE, SEQUENCES, CONTROL, MASKS),
)

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        operation.name: operation
        for part in _PARTS
        for operation in part
        if not operation.needs or hasattr(nn, operation.needs)
    }
)
"""Every operation that this Flax has, the simplest first: Hypothesis shrinks towards the front."""
