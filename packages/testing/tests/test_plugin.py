"""The pytest plugin costs nothing when unused, and collects reports when asked (T2, T8)."""

import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from flaxlayer_testing.collecting import Collector

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
    Collector(tmp_path / "out", worker=True).pytest_sessionfinish()
    assert not (tmp_path / "out").exists()
