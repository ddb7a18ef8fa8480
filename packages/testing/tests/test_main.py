"""The command in a fresh process: the backend that it runs on, and says so (T2)."""

import os
import subprocess
import sys

import pytest

CHECK = ["check", "flax.linen:Dense", "--set", "features=2", "--input", "float32[2,3]"]
STARTED = """
import sys

sys.modules["torch"] = None  # as if it were not installed
from flaxlayer_testing.__main__ import main

main()
"""
IMPORTED = 'import sys; sys.modules["torch"] = None; from flaxlayer_testing import check_module'


def run(*words, folder):
    """Runs Python where nothing but what stands in the folder chooses a backend."""
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    environment["KERAS_HOME"] = str(folder)
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)


@pytest.mark.law("T2")
def test_the_command_runs_on_jax_where_nothing_was_chosen_and_says_so(tmp_path):
    only = ["--only", "check_inference"]
    done = run("-m", "flaxlayer_testing", *CHECK, *only, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    backend, summary = done.stdout.splitlines()[-2:]
    assert backend.startswith("Keras ") and backend.endswith(" on jax")
    assert summary == "1 module, 1 passed"


@pytest.mark.law("T8")
def test_a_backend_that_was_chosen_and_is_missing_ends_the_command_with_2(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    done = run("-c", STARTED, *CHECK, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Keras cannot be imported: its backend 'torch' is not installed.")


def test_importing_a_check_explains_a_backend_that_is_missing(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    done = run("-c", IMPORTED, folder=tmp_path)
    assert "ImportBackendError: Keras cannot be imported: its backend 'torch'" in done.stderr
