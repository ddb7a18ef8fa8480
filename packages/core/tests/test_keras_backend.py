"""The backend that Keras is going to choose, beside what Keras chooses; a lack is explained."""

import json
import os
import subprocess
import sys

import pytest

from flaxlayer_core.errors import ImportBackendError
from flaxlayer_core.keras_backend import planned_backend, prefer_jax, require_backend

DEFAULTS = {"floatx": "float32", "epsilon": 1e-7, "backend": "tensorflow"}
WRITTEN = {**DEFAULTS, "image_data_format": "channels_last"}
# The text of keras.json, the variable, what Keras takes, and whether somebody chose it.
SITUATIONS = {
    "nothing": (None, None, "tensorflow", False),
    "an empty variable": (None, "", "tensorflow", False),
    "the variable": (None, "torch", "torch", True),
    "the file": (json.dumps({"backend": "jax"}), None, "jax", True),
    "the variable over the file": (json.dumps({"backend": "torch"}), "jax", "jax", True),
    "an empty variable over the file": (json.dumps({"backend": "torch"}), "", "torch", True),
    "a file with tensorflow alone": (json.dumps({"backend": "tensorflow"}), "", "tensorflow", True),
    "the file that Keras writes": (json.dumps(WRITTEN, indent=4), None, "tensorflow", False),
    "that file, edited": (json.dumps({**WRITTEN, "backend": "jax"}), None, "jax", True),
    "a file without a backend": (json.dumps({"epsilon": 1e-6}), None, "tensorflow", False),
    "a broken file": ("{", None, "tensorflow", False),
}
ASK_KERAS = """
import importlib.util, json, os, sys
import keras  # on JAX; then its configuration is read anew for each situation

for folder, variable in json.loads(sys.argv[1]):
    os.environ.pop("KERAS_BACKEND", None)
    if variable is not None:
        os.environ["KERAS_BACKEND"] = variable
    os.environ["KERAS_HOME"] = folder
    spec = importlib.util.find_spec("keras.src.backend.config")
    config = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(config)
    print("takes", config.backend())
"""


@pytest.fixture
def situation(tmp_path, monkeypatch):
    """Makes one of the situations, without Keras in the process."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "keras", raising=False)

    def make(name):
        text, variable, *_ = SITUATIONS[name]
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
        if variable is not None:
            monkeypatch.setenv("KERAS_BACKEND", variable)
        if text is not None:
            (tmp_path / "keras.json").write_text(text)

    return make


@pytest.fixture
def without(monkeypatch):
    """Makes a package look as if it were not installed."""
    return lambda name: monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_backend_is_found_and_whether_somebody_chose_it(name, situation):
    situation(name)
    *_, expected, chosen = SITUATIONS[name]
    planned = planned_backend()
    assert (planned.name, planned.chosen) == (expected, chosen)


@pytest.mark.slow
def test_keras_takes_what_was_found(tmp_path):
    pytest.importorskip("keras")
    asked = []
    for number, (text, variable, *_) in enumerate(SITUATIONS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        if text is not None:
            (folder / "keras.json").write_text(text)
        asked.append((str(folder), variable))
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", ASK_KERAS, json.dumps(asked)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    taken = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("takes ")]
    assert taken == [expected for _, _, expected, _ in SITUATIONS.values()]
    # The file that Keras wrote where there was none chooses nothing.
    assert json.loads((tmp_path / "0" / "keras.json").read_text()) == WRITTEN


def test_the_file_stands_in_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"backend": "jax"}')
    assert planned_backend().name == "jax"
    assert str(tmp_path / ".keras" / "keras.json") in planned_backend().reason


@pytest.mark.parametrize("name", SITUATIONS)
def test_jax_is_preferred_only_where_nobody_chose(name, situation):
    situation(name)
    _, variable, expected, chosen = SITUATIONS[name]
    prefer_jax()
    assert planned_backend().name == (expected if chosen else "jax")
    assert not chosen or os.environ.get("KERAS_BACKEND") == variable


def test_nothing_is_chosen_once_keras_is_imported(situation, monkeypatch, without):
    situation("nothing")
    without("tensorflow")
    monkeypatch.setitem(sys.modules, "keras", sys)
    prefer_jax()
    require_backend()
    assert "KERAS_BACKEND" not in os.environ


@pytest.mark.parametrize(
    ("name", "missing", "words"),
    [
        ("nothing", "tensorflow", "by default; KERAS_BACKEND is not set"),
        ("the file that Keras writes", "tensorflow", "wrote so into"),
        ("a file with tensorflow alone", "tensorflow", "keras.json names it"),
        ("the variable", "torch", "variable KERAS_BACKEND names it"),
        ("an empty variable over the file", "torch", "keras.json names it"),
    ],
)
def test_a_backend_that_is_not_installed_is_explained(name, missing, words, situation, without):
    situation(name)
    without(missing)
    with pytest.raises(ImportBackendError, match=f"its backend '{missing}' is not installed") as e:
        require_backend()
    assert words in e.value.found
    assert 'os.environ["KERAS_BACKEND"] = "jax"' in e.value.fix
    for extra in ("tensorflow", "torch"):
        assert (f"pip install 'flaxlayer[{extra}]'" in e.value.fix) == (missing == extra)


def test_a_backend_that_keras_does_not_know_is_explained(situation, monkeypatch):
    situation("nothing")
    monkeypatch.setenv("KERAS_BACKEND", "JAX")
    with pytest.raises(ImportBackendError, match="'JAX' is unknown to Keras"):
        require_backend()


def test_a_backend_that_is_installed_is_no_error(situation):
    situation("the file")
    require_backend()
