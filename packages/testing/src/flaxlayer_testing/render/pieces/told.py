"""What a call tells of its surroundings: values that are no arrays (A5, A6)."""

from __future__ import annotations

from typing import Any

import flax.linen
import jax

__all__ = ["told_by"]


def told_by(array: Any) -> dict[str, Any]:
    """Returns what changes what a call compiles to: statics, which an output may hold."""
    return {
        "precision": str(getattr(jax.config, "jax_default_matmul_precision")),  # noqa: B009
        "rules": str(flax.linen.get_logical_axis_rules()),
        "traced": isinstance(array, jax.core.Tracer),
    }
