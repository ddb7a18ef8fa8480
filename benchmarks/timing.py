"""How times are taken: in turns, so that whatever else the machine does falls on all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

__all__ = ["alternate"]


def alternate(
    functions: Mapping[str, Callable[[], Any]], *, rounds: int = 15, calls: int = 100
) -> dict[str, float]:
    """Times functions in alternating rounds.

    Args:
        functions: What to time, by name; each returns what to wait for.
        rounds: How often each has its turn.
        calls: Calls in one turn.

    Returns:
        The median over the rounds of the mean seconds of one call.
    """
    for function in functions.values():
        jax.block_until_ready([function() for _ in range(3)])
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            for _ in range(calls):
                result = function()
            jax.block_until_ready(result)
            times[name].append((time.perf_counter() - start) / calls)
    return {name: statistics.median(seconds) for name, seconds in times.items()}
