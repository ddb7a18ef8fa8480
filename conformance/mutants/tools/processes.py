"""Runs tasks with changed sources, each in a process of its own that starts with what is imported.

A process that has JAX, Flax and Keras, but no file of ours and no thread, is forked for each task:
that takes milliseconds where a new one takes seconds.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.mutants.entry import SOURCES

__all__ = ["Job", "Outcome", "preload", "run_jobs"]

# All of these are imported by ours anyway.
_OTHERS = ("jax", "flax.linen", "flax.nnx", "keras", "h5py", "optax", "hypothesis.strategies")


@dataclass(frozen=True)
class Job:
    """A task for one process.

    Attributes:
        name: What it is called in the outcome.
        prepare: Runs first, before any file of ours is imported.
        task: The function that then runs, as `package.module:function`; it is imported there, and
            returns what JSON can hold.
        arguments: Its keyword arguments.
        seconds: The most that it may take.
    """

    name: str
    prepare: Callable[[], None]
    task: str
    arguments: dict[str, Any] = field(default_factory=dict)
    seconds: float = 600


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        name: The name of the job.
        result: What the function returned, None where it did not.
        error: Why it did not: the last lines of a traceback, or `"time"`; empty where it did.
        seconds: How long it took.
    """

    name: str
    result: Any
    error: str
    seconds: float


def preload() -> None:
    """Imports what all tasks need and no mutant changes.

    Raises:
        RuntimeError: If something has started threads, or imported what mutants change.
    """
    for name in _OTHERS:
        importlib.import_module(name)
    ours = sorted(set(SOURCES) & set(sys.modules))
    if ours or threading.active_count() > 1:
        raise RuntimeError(f"this process cannot be forked any more: {ours or 'it has threads'}")


def run_jobs(
    jobs: Iterable[Job], *, workers: int = 1, log: Path | None = None
) -> Iterator[Outcome]:
    """Runs jobs, some at a time; what they print goes into a file.

    Args:
        jobs: The jobs, taken one by one as processes become free.
        workers: How many processes run at a time.
        log: The file; nothing is kept without one.

    Yields:
        The outcomes as they come.
    """
    preload()
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        stack.callback(_end_all, selector)  # where the caller stops
        pending, running = iter(jobs), 0
        while True:
            while running < workers and (job := next(pending, None)) is not None:
                started = _start(job, log)
                selector.register(started.pipe, selectors.EVENT_READ, started)
                running += 1
            if not running:
                return
            for started in _ended(selector):
                selector.unregister(started.pipe)
                running -= 1
                yield started.outcome()


@dataclass
class _Started:
    job: Job
    pid: int
    pipe: int
    began: float
    text: bytes = b""
    late: bool = False

    @property
    def left(self) -> float:
        return self.began + self.job.seconds - time.monotonic()

    def outcome(self) -> Outcome:
        os.close(self.pipe)
        _, status = os.waitpid(self.pid, 0)
        seconds = round(time.monotonic() - self.began, 1)
        try:
            result, error = json.loads(self.text)
        except ValueError:
            result, error = None, "time" if self.late else f"it ended with status {status}"
        return Outcome(self.job.name, result, error, seconds)


def _ended(selector: selectors.BaseSelector) -> list[_Started]:
    """Reads what processes send until one has ended; those whose time is over are ended."""
    ended: list[_Started] = []
    while not ended:
        waiting = [key.data for key in selector.get_map().values()]
        wait = min((each.left for each in waiting if not each.late), default=None)
        for key, _ in selector.select(None if wait is None else max(0.0, wait)):
            block = os.read(key.data.pipe, 1 << 16)
            key.data.text += block
            if not block:
                ended.append(key.data)
        for each in waiting:
            if each.left <= 0 and not each.late:
                each.late = True
                _end(each)
    return ended


def _end_all(selector: selectors.BaseSelector) -> None:
    for key in list(selector.get_map().values()):
        _end(key.data)
        key.data.outcome()


def _end(started: _Started) -> None:
    # With what it has started itself.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)


def _start(job: Job, log: Path | None) -> _Started:
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        try:
            os.setpgid(0, 0)
            os.close(reading)
            _redirect(log)
            _send(writing, _result(job))
        finally:
            os._exit(0)
    os.close(writing)
    with contextlib.suppress(PermissionError, ProcessLookupError):
        os.setpgid(pid, pid)
    return _Started(job, pid, reading, time.monotonic())


def _redirect(log: Path | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    place = os.open(os.devnull if log is None else log, flags, 0o644)
    os.dup2(place, 1)
    os.dup2(place, 2)


def _result(job: Job) -> Sequence[Any]:
    try:
        job.prepare()
        module, _, name = job.task.partition(":")
        return [getattr(importlib.import_module(module), name)(**job.arguments), ""]
    except BaseException as error:  # a mutant may end in any way
        traceback.print_exc()
        lines = traceback.format_exception_only(error)
        return [None, "".join(lines)[-1000:]]


def _send(pipe: int, result: Sequence[Any]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    with os.fdopen(pipe, "w", encoding="utf-8") as stream:
        json.dump(result, stream)
