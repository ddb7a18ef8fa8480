"""Operations that JAX lowers to its own CPU library, lowered to XLA's instead (K4)."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["lowering_rules"]


@functools.cache
def lowering_rules() -> tuple[tuple[Any, Any], ...]:
    """Returns pairs of a primitive and the rule that lowers it for TensorFlow."""
    return ()
