"""Files that an earlier tree wrote load, predict what they did there, and train on (W3, S4)."""

import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

OLDER = pathlib.Path(__file__).parent / "older"


@pytest.mark.law("W3")
def test_older_files_load_in_a_process_that_registers_their_modules():
    done = subprocess.run(
        [sys.executable, str(OLDER / "read.py")], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("read ") == len(list(OLDER.glob("*.keras"))) == 8
