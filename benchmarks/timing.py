"""How times are taken: in turns, so that whatever else the machine does falls on all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

__all__ = ["alternate", "run_processes", "time_processes"]


def time_processes(module: str, ways: Sequence[str], name: str, rounds: int) -> dict[str, float]:
    """Times what fresh processes do in turns; compiled code is not cached between them.

    Args:
        module: The benchmark, which prints its seconds when it is run with a way and a name.
        ways: The ways that are compared.
        name: The name of a model.
        rounds: How often each way has its turn.

    Returns:
        The median seconds of each way.
    """
    figures = run_processes(module, ways, name, rounds)
    return {way: numbers[-1] for way, numbers in figures.items()}


def run_processes(
    module: str, ways: Sequence[str], name: str, rounds: int
) -> dict[str, tuple[float, ...]]:
    """Returns the median of each number that such processes print in their last line."""
    printed: dict[str, list[list[float]]] = {way: [] for way in ways}
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    for _ in range(rounds):
        for way in ways:
            command = [sys.executable, "-m", module, way, name]
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, env=environment
            )
            printed[way].append([float(word) for word in done.stdout.splitlines()[-1].split()])
    return {
        way: tuple(map(statistics.median, zip(*rows, strict=True))) for way, rows in printed.items()
    }


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
