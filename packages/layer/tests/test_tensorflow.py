"""The tests in `tests/tensorflow`, each file in a process whose Keras runs on TensorFlow.

`KERAS_BACKEND=tensorflow pytest packages/layer/tests/tensorflow` runs them directly.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

HERE = Path(__file__).parent
FILES = sorted((HERE / "tensorflow").glob("test_*.py"))
# Tests of the layer that say nothing of a backend, with what they share.
SHARED = [HERE / name for name in ("test_weights_files.py", "test_late_state.py")]
SOURCES = HERE.parent / "src" / "flaxlayer" / "backends" / "tensorflow"


@pytest.mark.parametrize("path", [*FILES, *SHARED, SOURCES], ids=lambda path: path.stem)
def test_it_passes_on_tensorflow(path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"]
    if path is SOURCES:
        command.append("--doctest-modules")
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    done = subprocess.run([*command, str(path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
