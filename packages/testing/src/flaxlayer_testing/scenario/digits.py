"""The line of a program that says how near results of another compiler are (T4)."""

from __future__ import annotations

from collections.abc import Iterable

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.compare.tolerances import TOLERANCES

__all__ = ["digits_lines"]


def digits_lines(computed: Iterable[str]) -> list[str]:
    """Returns the line; none where the layer runs the very program of raw Flax.

    Args:
        computed: Names of the dtypes that take part in the computation.
    """
    if current_backend().shares_programs:
        return []
    took_part = sorted(TOLERANCES.keys() & set(computed))
    coarsest = max(took_part, key=lambda name: TOLERANCES[name].rtol, default=None)
    return [f"Coarsest.dtype = {coarsest!r}"]
