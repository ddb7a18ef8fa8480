"""The route of the pytest plugin: what a worker of pytest-xdist sends, and where reports go.

The session is a whole one of pytest in this process, without tests; it is given test reports as
pytest-xdist hands them over, and must end as pytest ends, with no traceback of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from conformance.hostile.commands import make_records
from conformance.hostile.route import Route, UnreadableError, changed_json, write_json
from conformance.hostile.verdict import MOST_CHARACTERS, Fault
from flaxlayer_testing.errors import ReadRecordError

__all__ = ["ROUTES"]

_WORDS = (
    *("-p", "flaxlayer_testing.plugin", "-p", "no:cacheprovider", "-p", "no:faulthandler"),
    *("-p", "no:unraisableexception", "-p", "no:threadexception", "-s", "-c", os.devnull),
)
_REPORT = {
    "nodeid": "test_a.py::test_a",
    "location": ["test_a.py", 1, "test_a"],
    "keywords": {},
    "outcome": "passed",
    "longrepr": None,
    "when": "call",
    "sections": [],
    "user_properties": [],
    "$report_type": "TestReport",
}
_SENT, _NAME, _OUT = "sent.json", "name.txt", "out"


def _make(folder: Path) -> None:
    """Writes what a session has: what is sent, the name of the folder, the folder itself."""
    place = folder / "session"
    (place / _OUT).mkdir(parents=True)
    make_records(place)
    record = (place / "record.json").read_text(encoding="utf-8")
    (place / "record.json").unlink()
    write_json(place / _SENT, [record, record])
    (place / _NAME).write_text(_OUT)
    (place / _OUT / "report.json").write_text(record)


def _link(place: Path) -> None:
    # A folder that is a link is the user's own; a report is never written through one.
    place.symlink_to("/etc/hostname" if place.suffix else _NAME)


_ODD: Mapping[str, Callable[[Path], Any]] = {
    "nothing": lambda place: None,
    "file": lambda place: place.write_bytes(b"\xff\0<"),
    "folder": lambda place: (place / "in").mkdir(parents=True),
    "link": _link,
    "loop": lambda place: place.symlink_to(place.name),
    "pipe": os.mkfifo,
    "closed": lambda place: place.touch(0),
}
_NAMES = (
    *(
        "",
        ".",
        "..",
        "out/../out",
        "sent.json",
        "sent.json/out",
        "new/in/new",
    ),
    *("x" * 300, "x" * 100_000, "\x1b[31m[/x]", "a\nb", "\udcff", "out\0", "~", "$HOME", "-h"),
)


def _change(source: Path, target: Path, rng: random.Random) -> None:
    shutil.copytree(source, target)
    if rng.random() < 0.7:
        sent = json.loads((target / _SENT).read_text(encoding="utf-8"))
        sent[0] = _changed(sent[0], rng)
        write_json(target / _SENT, sent)
    if rng.random() < 0.3:
        place = target / _OUT / rng.choice(["report.json", "report.html", "report.json/in"])
        place = rng.choice([place, target / _OUT])
        if place.is_dir():
            shutil.rmtree(place)
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)
            _ODD[rng.choice(list(_ODD))](place)
    if rng.random() < 0.3:
        name = rng.choice(_NAMES).encode(errors="surrogateescape")
        (target / _NAME).write_bytes(name)


def _changed(record: str, rng: random.Random) -> Any:
    if rng.random() < 0.1:
        return rng.choice([None, 0, {}, [], "", "\0", 1e308, [record], {"a": record}])
    return changed_json(record, rng)


class _Worker:
    """Hands over reports, as pytest-xdist does."""

    def __init__(self, sent: list[Any]) -> None:
        self.sent = sent

    def pytest_collection(self, session: Any) -> bool:
        """Stands where tests would be collected."""
        session.items, session.testscollected = [], len(self.sent)
        return True

    def pytest_runtestloop(self, session: Any) -> bool:
        """Stands where tests would run."""
        hook = session.config.hook
        for record in self.sent:
            data = {**_REPORT, "flaxlayer_record": record}
            report = hook.pytest_report_from_serializable(config=session.config, data=data)
            hook.pytest_runtest_logreport(report=report)
        return True


def _run(path: Path, rng: random.Random) -> Any:
    try:
        sent = json.loads((path / _SENT).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(str(error)[:200]) from error
    name = os.fsdecode((path / _NAME).read_bytes())
    out, before = io.StringIO(), Path.cwd()
    words = [*_WORDS, "--rootdir", str(path), f"--flaxlayer-report={name}"]
    os.chdir(path)
    try:
        alone = mock.patch.dict(os.environ, {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
        with alone, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = pytest.main(words, plugins=[_Worker(sent)])
    finally:
        os.chdir(before)
    return _judge(code, out.getvalue())


def _judge(code: int | pytest.ExitCode, said: str) -> None:
    if code == pytest.ExitCode.INTERNAL_ERROR or "Traceback" in said or "INTERNALERROR" in said:
        raise Fault(f"pytest fell: {said[-1000:]}")
    if len(said) > MOST_CHARACTERS or "\x1b" in said:
        raise Fault(f"{len(said):,} characters were shown: {said[:200]!r}")
    if code == pytest.ExitCode.USAGE_ERROR or "could not be" in said:
        raise ReadRecordError(said)
    if code != pytest.ExitCode.OK:
        raise Fault(f"pytest ended with {code}: {said[-1000:]}")


ROUTES = (Route("plugin", _make, _change, _run, share=4),)
