"""Files that an earlier tree wrote load, predict what they did there, and train on (W3, S4)."""

import os
import pathlib
import subprocess
import sys

import pytest
from flax import nnx

from packages.layer.tests.needs import KERAS, needs_nnx

pytestmark = pytest.mark.slow

LEFT_OUT = (0 if KERAS >= (3, 15) else 2) + (not hasattr(nnx, "data"))
OLDER = pathlib.Path(__file__).parent / "older"


def run(script):
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.law("W3")
def test_older_files_load_in_a_process_that_registers_their_modules():
    lines = run(OLDER / "read.py").splitlines()
    read = [line for line in lines if line.startswith("read ")]
    assert len(list(OLDER.glob("*.keras"))) == 8
    assert len(read) == 8 - LEFT_OUT


@pytest.mark.law("W3")
@needs_nnx
def test_older_files_hold_what_raw_flax_made_of_the_same_modules():
    folder = OLDER / "eea3585"
    assert run(folder / "read.py").count("read ") == len(list(folder.glob("*.keras"))) + 1 == 20
