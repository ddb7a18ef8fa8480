"""The tests in `tests/tensorflow`, in two processes whose Keras runs on TensorFlow.

`KERAS_BACKEND=tensorflow pytest packages/layer/tests/tensorflow` runs them directly.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

HERE = Path(__file__).parent
OWN = HERE / "tensorflow"
PARTS = {
    "calls": [
        OWN / "test_calls.py",
        OWN / "test_compat.py",
        OWN / "test_lowering.py",
        HERE.parent / "src" / "flaxlayer" / "backends",
    ],
    "models": [
        OWN / "test_export.py",
        OWN / "test_saving.py",
        OWN / "test_training.py",
        # What says nothing of a backend holds on this one too.
        HERE / "test_late_state.py",
    ],
}


@pytest.mark.parametrize("part", PARTS)
def test_the_tests_of_tensorflow_pass(part):
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--doctest-modules"]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    done = subprocess.run(
        [*command, *map(str, PARTS[part])], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_each_file_of_tests_belongs_to_a_part():
    listed = {path for paths in PARTS.values() for path in paths}
    assert set(OWN.glob("test_*.py")) <= listed
