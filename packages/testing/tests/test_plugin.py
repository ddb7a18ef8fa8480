"""The pytest plugin costs nothing when unused, and collects reports when asked (T2, T8)."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from flaxlayer_testing import FaultResult, Record
from flaxlayer_testing.collecting import Collector
from flaxlayer_testing.plugin import FILES

pytestmark = pytest.mark.slow

HEAVY = ("flax", "flaxlayer", "hypothesis", "jax", "jinja2", "keras", "rich", "typer")

LOADED = f"""
import sys
loaded = [name for name in {HEAVY} if name in sys.modules]
sys.exit(f"loaded: {{loaded}}" if loaded else 0)
"""

TESTS = """
import flax.linen as nn, numpy as np, pytest
from flaxlayer import FlaxLayer
from flaxlayer_testing import check_module, parametrize_checks, run_check

X = np.ones((2, 3), np.float32)

class Negates(FlaxLayer):
    def __call__(self, *args, **kwargs):
        return -super().__call__(*args, **kwargs)

@parametrize_checks([(nn.Dense(2), X)], only=["check_inference", "check_state_training"])
def test_dense(subject, check):
    run_check(subject, check)

@pytest.mark.parametrize("layer", [FlaxLayer, Negates])
def test_layers(layer):
    report = check_module(nn.Dense(2), X, layer=layer, only=["check_inference"])
    report.raise_for_failures()

def test_wants_a_failure():
    report = check_module(nn.Dense(2), X, layer=Negates, only=["check_inference"])
    assert not report.ok
"""


def _run(*words, folder=None):
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def _session(folder, *words):
    """Runs the tests above in a project of their own."""
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    (folder / "test_sample.py").write_text(TESTS)
    arguments = ["-p", "flaxlayer_testing.plugin", "-p", "no:cacheprovider", "-q", *words]
    return _run("-m", "pytest", *arguments, folder=folder)


@pytest.fixture(scope="module", params=["alone", "xdist"])
def session(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    words = ["-p", "xdist", "-n", "1"] if request.param == "xdist" else []
    words += ["--flaxlayer-report", "out", "--junitxml", "junit.xml"]
    return folder, _session(folder, *words)


@pytest.mark.law("T2")
def test_the_plugin_loads_nothing_heavy():
    done = _run("-c", "import flaxlayer_testing.plugin" + LOADED)
    assert done.returncode == 0, done.stderr


@pytest.mark.law("T2")
@pytest.mark.parametrize("name", ["jax", "hypothesis"])
def test_the_check_that_nothing_heavy_is_loaded_can_fail(name):
    done = _run("-c", f"import flaxlayer_testing.plugin, {name}" + LOADED)
    assert done.returncode == 1
    assert "loaded: [" in done.stderr


@pytest.mark.law("T2")
def test_a_session_that_does_not_ask_for_a_report_loads_nothing_heavy(tmp_path):
    check = "import sys\ndef test_nothing():\n    loaded = set({}) & set(sys.modules)\n"
    (tmp_path / "test_light.py").write_text(check.format(HEAVY) + "    assert not loaded\n")
    done = _run("-m", "pytest", "-p", "flaxlayer_testing.plugin", "-q", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "flaxlayer:" not in done.stdout


@pytest.mark.law("T8")
def test_a_session_writes_what_its_checks_found(session):
    folder, done = session
    assert "1 failed, 3 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "flaxlayer: 4 reports in out/report.html" in done.stdout
    data = json.loads((folder / "out/report.json").read_text())
    found = sorted((part["layer"], part["entries"][0]["status"]) for part in data["reports"])
    assert found == [
        ("flaxlayer:FlaxLayer", "passed"),
        ("flaxlayer:FlaxLayer", "passed"),
        ("flaxlayer:FlaxLayer", "skipped"),
        ("test_sample:Negates", "failed"),
    ]
    assert "test_sample:Negates" in (folder / "out/report.html").read_text()


@pytest.mark.law("T8")
def test_the_last_line_of_a_failure_runs_that_test_again_in_a_fresh_shell(session):
    folder, done = session
    (words,) = re.findall(r"^E +Replay: (.*)$", done.stdout, re.MULTILINE)
    clean = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    clean |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    clean |= {"PYTEST_PLUGINS": "flaxlayer_testing.plugin"}  # as an installed package has it
    again = subprocess.run(words, shell=True, cwd=folder, env=clean, capture_output=True, text=True)
    assert "1 failed in" in again.stdout, again.stdout + again.stderr
    assert f"Replay: {words}" in again.stdout


@pytest.mark.law("T8")
def test_junit_holds_the_largest_errors_of_a_test(session):
    folder, _ = session
    properties = ElementTree.parse(folder / "junit.xml").iter("property")
    found = [json.loads(item.get("value")) for item in properties]
    assert {"float32": 0.0} in found


@pytest.mark.law("T2")
def test_the_decorator_marks_its_tests(tmp_path):
    done = _session(tmp_path, "-m", "flaxlayer", "--collect-only")
    assert "2/5 tests collected (3 deselected)" in done.stdout, done.stdout


def test_a_worker_writes_nothing(tmp_path):
    collector = Collector(tmp_path / "out", FILES, worker=True)
    collector.pytest_sessionfinish(SimpleNamespace(exitstatus=0))
    assert not (tmp_path / "out").exists()


def a_file(folder):
    (folder / "out").write_text("no folder")


def below_a_file(folder):
    (folder / "out").write_text("no folder")
    return "out/in/it"


def a_page_that_is_a_folder(folder):
    (folder / "out" / "report.html").mkdir(parents=True)


def a_loop(folder):
    (folder / "out").symlink_to("out")


FOLDERS = {
    "a file": a_file,
    "below a file": below_a_file,
    "a page that is a folder": a_page_that_is_a_folder,
    "a loop of links": a_loop,
    "a long name": lambda folder: "\x1b[31m" + "x" * 100_000,
}


@pytest.mark.law("S6")
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_cannot_hold_the_report_is_an_error_of_usage(name, tmp_path):
    done = _session(tmp_path, "--flaxlayer-report", FOLDERS[name](tmp_path) or "out")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "ERROR: --flaxlayer-report" in said
    assert len(said) < 2_000
    assert not {"\x1b", "Traceback", "INTERNALERROR"}.intersection([*said, *said.split()])


class Reporter(list):
    write_line = list.append


def _finished(folder, *records):
    """What a session with these records says and ends with."""
    session, collector, said = SimpleNamespace(exitstatus=0), Collector(folder, FILES), Reporter()
    for record in records:
        collector.pytest_runtest_logreport(SimpleNamespace(flaxlayer_record=record))
    collector.pytest_sessionfinish(session)
    collector.pytest_terminal_summary(said)
    return "\n".join(said), session.exitstatus


@pytest.mark.law("S6")
@pytest.mark.parametrize(
    "record",
    ["{", "[" * 100_000, "\0", '{"reports": 1, "created": ""}', "9" * 10_000, 7, {}, [1]],
    ids=["no JSON", "deep", "zero", "number", "huge", "no text", "empty", "list"],
)
def test_what_a_worker_sends_and_nobody_can_read_is_said_at_the_end(record, tmp_path):
    good = Record(faults=(FaultResult("ForgetsBias", "check_inference", 20),))
    said, status = _finished(tmp_path / "out", record, good.to_json())
    assert "could not be read" in said
    assert len(said) < 2_000
    assert status == pytest.ExitCode.TESTS_FAILED
    assert Record.from_json((tmp_path / "out/report.json").read_text()).faults == good.faults


@pytest.mark.law("S6")
def test_a_report_that_cannot_be_written_is_said_at_the_end(tmp_path):
    (tmp_path / "out/report.json").mkdir(parents=True)  # by a test, since the session began
    said, status = _finished(tmp_path / "out")
    assert "could not be written" in said
    assert status == pytest.ExitCode.TESTS_FAILED


@pytest.mark.law("S6")
def test_a_report_replaces_links_and_pipes_and_does_not_follow_them(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out/report.json").symlink_to(tmp_path / "mine")
    os.mkfifo(tmp_path / "out/report.html")
    said, status = _finished(tmp_path / "out")
    assert "flaxlayer: 0 reports in" in said
    assert status == 0
    assert (tmp_path / "mine").read_text() == "mine"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "report.html",
        "report.json",
    ]
    assert not (tmp_path / "out/report.json").is_symlink()


@pytest.mark.law("T8")
def test_a_report_stands_where_the_session_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    collector = Collector(Path("out"), FILES)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    collector.pytest_sessionfinish(SimpleNamespace(exitstatus=0))
    assert (tmp_path / "out/report.json").exists()
