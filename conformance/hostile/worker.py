"""A guarded process that runs cases: `python -m conformance.hostile.worker JOB FOLDER`.

The job `make` writes the honest things. The jobs `run` and `planted` read lines `ROUTE SEED`, and
answer each with one line of JSON. Memory is bounded by what the process has before a case, plus a
margin; each case by seconds of CPU, after which the kernel ends the process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import json
import os
import random
import resource
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO
from unittest import mock

import jax
import keras

from conformance.hostile.bystanders import Bystanders
from conformance.hostile.guarded import Runner
from conformance.hostile.modules import hand_over
from conformance.hostile.planted import PLANTED
from conformance.hostile.route import Route
from conformance.hostile.routes import ROUTES, make_honest
from conformance.hostile.watch import Watch

__all__ = ["Bounds", "answer", "main", "make"]

_CASES = 50  # after which compiled functions are dropped


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What a case may take.

    Attributes:
        memory: Bytes of addresses, beside those that the process has.
        seconds: Of CPU, all threads together.
        patience: Seconds that a thread has to end.
    """

    memory: int = 3 * 2**30
    seconds: int = 40
    patience: int = 60

    def apply(self) -> None:
        """Bounds what follows."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + self.memory)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + self.seconds)

    def lift(self) -> None:
        """Ends the bound on memory, so that the harness itself does not run into it."""
        _limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)


def _limit(what: int, most: int) -> None:
    resource.setrlimit(what, (most, resource.RLIM_INFINITY))


def make(folder: Path) -> None:
    """Writes the honest things, with tokens that are the same each time."""
    numbers = random.Random(0)
    with mock.patch("uuid.uuid4", lambda: uuid.UUID(int=numbers.getrandbits(128))):
        make_honest({**ROUTES, **PLANTED}, folder / "honest")


def answer(
    folder: Path, routes: Mapping[str, Route], bounds: Bounds, asked: TextIO, answers: TextIO
) -> None:
    """Runs the cases that are asked for."""
    keras.config.disable_traceback_filtering()
    scratch = Path(tempfile.mkdtemp(dir=folder))
    tempfile.tempdir = str(scratch)
    held = hand_over()
    watch = Watch(*_writable(scratch))
    bystanders = Bystanders(folder / "honest")
    runner = Runner(folder / "honest", scratch, bystanders, watch, bounds.patience)
    print(json.dumps({"ready": len(held)}), file=answers, flush=True)
    warm: set[str] = set()
    for number, line in enumerate(asked, 1):
        name, seed = line.split()
        if name not in warm and routes is ROUTES:
            runner.warm_up(routes[name])
        warm.add(name)
        if number % _CASES == 0:
            jax.clear_caches()
        changed = runner.prepare(routes[name], int(seed))
        bounds.apply()
        result = runner.load(routes[name], *changed)
        bounds.lift()
        print(json.dumps(dataclasses.asdict(result)), file=answers, flush=True)


def _writable(scratch: Path) -> Iterator[Path]:
    yield scratch
    if cache := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        yield Path(cache)


def main(job: str, folder: Path) -> None:
    """Does a job."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    faulthandler.enable()
    if job == "make":
        make(folder)
    elif job == "run":
        answer(folder, ROUTES, Bounds(), sys.stdin, answers)
    else:
        answer(folder, PLANTED, Bounds(seconds=3, patience=1), sys.stdin, answers)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(sys.argv[1], Path(sys.argv[2]))
