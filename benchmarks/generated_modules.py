"""Generated linen modules that are checked in a minute, by two processes.

Run: `python -m benchmarks.generated_modules`. Every module goes through the checks of outputs and
state in both modes. XLA bounds it, so it runs with nothing compiled before, again on other modules
with what the first run compiled, and again on the same ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.backend import print_backend

__all__ = ["RUNS", "measure"]

PROCESSES, MODULES = 2, 100
# Both sides are compiled alike, so that bits agree at any level; XLA compiles fastest so.
_FLAGS = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",
)
RUNS = {"nothing compiled": 1, "other modules compiled": 2, "the same modules compiled": 2}


def measure(modules: int = MODULES) -> dict[str, float]:
    """Returns the modules that are checked in a minute, processes started anew for each run.

    Args:
        modules: How many each process examines, all different.
    """
    rates = {}
    with tempfile.TemporaryDirectory() as cache:
        environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "XLA_FLAGS": " ".join(_FLAGS),
        }
        for name, seed in RUNS.items():
            start = time.perf_counter()
            command = [sys.executable, "-m", "benchmarks.generated_modules"]
            started = [
                subprocess.Popen([*command, str(10 * seed + n), str(modules)], env=environment)
                for n in range(PROCESSES)
            ]
            if any([process.wait() for process in started]):
                raise SystemExit("A generated module failed; see above.")
            rates[name] = 60 * PROCESSES * modules / (time.perf_counter() - start)
    return rates


def run_modules(seed: int, modules: int) -> None:
    """Examines generated modules in this process, all different."""
    from conformance.examining import FORWARD, examine
    from flaxlayer_testing import cases

    def drop(name: str, value: Any) -> None:
        del name, value

    assert len(examine(cases, seed, modules, FORWARD, drop)) == modules


def main() -> None:
    """Prints the rates, or examines modules in a process of its own."""
    if len(sys.argv) > 2:
        run_modules(int(sys.argv[1]), int(sys.argv[2]))
        return
    print_backend()
    print("| before the run | modules a minute |\n| --- | --- |")
    for name, rate in measure().items():
        print(f"| {name} | {rate:.0f} |", flush=True)


if __name__ == "__main__":
    main()
