"""One case in this process: changed, loaded under watch, judged."""

from __future__ import annotations

import contextlib
import random
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from conformance.hostile.bystanders import Bystanders, overwrite
from conformance.hostile.route import Route
from conformance.hostile.verdict import Fault, judged, traced
from conformance.hostile.watch import Watch, threads_left
from flaxlayer import FlaxLayer

__all__ = ["Result", "Runner"]

_WAYS = 3  # of loading, by a number


@dataclass(frozen=True)
class Result:
    """What a case ended in.

    Attributes:
        outcome: `"model"`, `"refused: CLASS"`, `"keras: CLASS"`, `"unreadable"` or `"fault"`.
        fault: What was seen that may not be.
        trace: Where it was raised.
    """

    outcome: str
    fault: str = ""
    trace: str = ""


class Runner:
    """Runs cases, with what they are compared with.

    Args:
        honest: The folder of honest things.
        scratch: A folder for changed ones.
        bystanders: Live layers.
        watch: The watch of this process.
        patience: Seconds that a thread has to end.
    """

    def __init__(
        self, honest: Path, scratch: Path, bystanders: Bystanders, watch: Watch, patience: int = 60
    ) -> None:
        self.honest, self.scratch = honest, scratch
        self.bystanders, self.watch, self.patience = bystanders, watch, patience

    def prepare(self, route: Route, seed: int) -> tuple[Path, random.Random]:
        """Writes the changed thing of a case; returns it, and what chooses the way of loading."""
        rng = random.Random(f"{route.name}:{seed}")
        source = rng.choice(route.sources(self.honest))
        target = self.scratch / source.name
        forget(target)
        route.change(source, target, rng)
        return target, rng

    def warm_up(self, route: Route) -> None:
        """Loads the honest things, so that what libraries do for the first time is done."""
        for number in range(_WAYS):
            route.load(route.sources(self.honest)[0], random.Random(number))

    def load(self, route: Route, target: Path, rng: random.Random) -> Result:
        """Loads what stands at a path, as it is, and judges what happens."""
        before, threads = self.bystanders.snapshot(), threading.enumerate()
        error = loaded = None
        with spying() as passed_on, self.watch():
            try:
                loaded = route.load(target, rng)
            except BaseException as raised:  # the point is to see whatever is raised
                error = raised
        seen = [*self.watch.seen, *threads_left(threads, self.patience)]
        if error is None:
            overwrite(loaded)
        seen += self.bystanders.changes(before, refused=error is not None)
        return _result(error, passed_on, seen)


@contextlib.contextmanager
def spying() -> Iterator[list[Exception]]:
    """Collects what our layers raise where Keras reads their weights, and keeps only the words."""
    raised: list[Exception] = []
    load = FlaxLayer.load_own_variables

    def spied(layer: FlaxLayer, store: Any) -> None:
        try:
            load(layer, store)
        except Exception as error:
            raised.append(error)
            raise

    with mock.patch.object(FlaxLayer, "load_own_variables", spied):
        yield raised


def _result(error: BaseException | None, passed_on: Sequence[Exception], seen: list[str]) -> Result:
    try:
        outcome = "model" if error is None else judged(error)
        inner = [judged(each) for each in passed_on]
        outcome = inner[0] if inner and outcome.startswith("keras: ") else outcome
    except Fault as fault:
        seen = [str(fault), *seen]
    trace = "" if error is None else traced(passed_on[0] if passed_on else error)
    return Result("fault", "; ".join(seen[:4]), trace) if seen else Result(outcome, "", trace)


def forget(path: Path) -> None:
    """Removes a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
