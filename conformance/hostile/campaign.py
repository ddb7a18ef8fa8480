"""Many cases over several guarded processes, and what each ended in."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from conformance.figures import provenance
from conformance.hostile.route import Route

__all__ = ["Campaign", "Finding", "cases_of", "honest_things"]

_LIFE = 600  # cases of a process, after which the next one begins
_SILENCE = 600  # seconds without an answer; the limit on CPU ends what computes long before


@dataclass(frozen=True)
class Finding:
    """A case that ended in what may not be.

    Attributes:
        route: Its route.
        seed: Its number, which replays it.
        fault: What was seen; `"death"` and the signal for a process that was ended.
        trace: Where it was raised, or the last words of the process.
    """

    route: str
    seed: int
    fault: str
    trace: str

    def __str__(self) -> str:
        command = f"python -m conformance.hostile --route {self.route} --seed {self.seed}"
        return f"{command}\n  {self.fault}\n  {self.trace}"


def cases_of(
    routes: Mapping[str, Route], count: int, *, first: int = 0
) -> Iterator[tuple[str, int]]:
    """Yields cases of all routes, in turn, each route as often as its share."""
    total = sum(route.share for route in routes.values())
    for name, route in routes.items():
        for number in range(max(count * route.share // total, 1)):
            yield name, first + number


@contextlib.contextmanager
def honest_things() -> Iterator[Path]:
    """Makes the honest things in a process of its own; yields the folder, which is then removed."""
    with tempfile.TemporaryDirectory(prefix="flaxlayer-hostile-") as name:
        command = [sys.executable, "-m", "conformance.hostile.worker", "make", name]
        subprocess.run(command, check=True, capture_output=True)
        yield Path(name)


@dataclass
class Campaign:
    """What many cases ended in.

    Attributes:
        folder: Of the honest things.
        job: What the processes do: `"run"`, or `"planted"` for the routes of the tests.
        told: Called with each finding at once.
        counts: How often each outcome was seen, by route.
        findings: What may not be.
    """

    folder: Path
    job: str = "run"
    told: Callable[[Finding], object] = lambda finding: None
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def run(self, cases: Iterable[tuple[str, int]], *, workers: int = 1) -> None:
        """Runs cases, with a process for each worker at a time."""
        pending: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        for case in cases:
            pending.put(case)
        with ThreadPoolExecutor(workers) as pool:
            for ended in [pool.submit(self._work, pending) for _ in range(workers)]:
                ended.result()

    def _work(self, pending: queue.SimpleQueue[tuple[str, int]]) -> None:
        while not pending.empty():
            with _Process(self.folder, self.job) as process:
                for _ in range(_LIFE):
                    try:
                        route, seed = pending.get_nowait()
                    except queue.Empty:
                        return
                    if not self._keep(route, seed, process.ask(route, seed), process):
                        break

    def _keep(self, route: str, seed: int, answer: str, process: _Process) -> bool:
        if not answer:
            found = {"outcome": "death", "fault": process.death(), "trace": process.last_words()}
        else:
            found = json.loads(answer)
        self.counts.setdefault(route, Counter())[found["outcome"]] += 1
        if found["fault"]:
            self.findings.append(Finding(route, seed, found["fault"], found["trace"]))
            self.told(self.findings[-1])
        return bool(answer)

    def to_json(self) -> str:
        """Returns the counts and findings as JSON."""
        routes = {
            name: {"cases": sum(counts.values()), **dict(sorted(counts.items()))}
            for name, counts in sorted(self.counts.items())
        }
        data = {
            **provenance(),
            "cases": sum(counts["cases"] for counts in routes.values()),
            "routes": routes,
            "findings": [[found.route, found.seed, found.fault] for found in self.findings],
        }
        return json.dumps(data, indent=1) + "\n"


class _Process:
    """A worker, and its end of the line."""

    def __init__(self, folder: Path, job: str) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  lives as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "conformance.hostile.worker", job, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def __enter__(self) -> _Process:
        if not self._answer():
            raise RuntimeError(f"a worker did not begin: {self.last_words()}")
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def ask(self, route: str, seed: int) -> str:
        """Returns the answer to a case, nothing if the process ended."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{route} {seed}\n")
            self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        alarm = threading.Timer(_SILENCE, self.process.kill)
        alarm.start()
        try:
            return self.process.stdout.readline()
        finally:
            alarm.cancel()

    def death(self) -> str:
        """Says how the process ended."""
        code = self.process.wait()
        if code >= 0:
            raise RuntimeError(f"the harness itself failed: {self.last_words()}")
        return f"death: {signal.Signals(-code).name}"

    def last_words(self) -> str:
        """Returns the end of what it wrote."""
        self.errors.seek(0)
        return self.errors.read().partition("\nExtension modules:")[0][-1_500:]
