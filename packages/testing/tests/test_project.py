"""The table `[tool.flaxlayer]`: what it sets, where it is looked for, what is refused (T8, S6)."""

import os
import subprocess
import sys

import pytest

from flaxlayer_testing import ReadProjectError
from flaxlayer_testing.project import KnownFailure, Project, read_project

FULL = """
[tool.other]
only = 3

[tool.flaxlayer]
only = ["check_s*"]
exclude = ["check_saved_*"]
checks = ["my_pkg.my_checks"]
examples = 7
seed = 4
workers = 2
max-time = 60.5

[[tool.flaxlayer.expected-failures]]
subject = "*Block"
check = "check_sown"
error = "KeyError"
message = "intermediates"
reason = "sow is not kept yet"
"""


def written(folder, text):
    (folder / "pyproject.toml").write_text(text)
    return folder


@pytest.mark.law("T8")
def test_every_key_is_read(tmp_path):
    known = KnownFailure("check_sown", "KeyError", "intermediates", "sow is not kept yet", "*Block")
    expected = Project(
        only=("check_s*",),
        exclude=("check_saved_*",),
        checks=("my_pkg.my_checks",),
        examples=7,
        seed=4,
        workers=2,
        max_time=60.5,
        expected_failures=(known,),
    )
    assert read_project(written(tmp_path, FULL)) == expected
    assert "my_pkg" not in sys.modules


@pytest.mark.law("T8")
def test_the_nearest_file_above_counts_and_none_sets_nothing(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    written(tmp_path, "[tool.flaxlayer]\nseed = 3\n")
    assert read_project(inner).seed == 3
    written(tmp_path / "a", "[tool.other]\n")
    assert read_project(inner) == Project()


REFUSED = {
    "a typo": ("[tool.flaxlayer]\nexamplse = 3", "the nearest is 'examples'"),
    "an underscore": ("[tool.flaxlayer]\nmax_time = 3", "the nearest is 'max-time'"),
    "a typo in an entry": (
        "[[tool.flaxlayer.expected-failures]]\nchekc = 'x'",
        "the nearest is 'check'",
    ),
    "an entry without a reason": (
        "[[tool.flaxlayer.expected-failures]]\ncheck='c'\nerror='E'\nmessage='m'",
        "without reason",
    ),
    "a text for a list": ("[tool.flaxlayer]\nonly = 'check_seed'", "only: "),
    "a list of numbers": ("[tool.flaxlayer]\nonly = [3]", "only: "),
    "a text for a number": ("[tool.flaxlayer]\nexamples = '3'", "examples: "),
    "true for a number": ("[tool.flaxlayer]\nexamples = true", "examples: "),
    "no example": ("[tool.flaxlayer]\nexamples = 0", "examples: "),
    "a negative time": ("[tool.flaxlayer]\nmax-time = -1", "max-time: "),
    "no time": ("[tool.flaxlayer]\nmax-time = nan", "max-time: "),
    "endless time": ("[tool.flaxlayer]\nmax-time = inf", "max-time: "),
    "no table": ("[tool]\nflaxlayer = 3", "3"),
    "no table of tools": ("tool = 'flaxlayer'", "flaxlayer"),
    "no TOML": ("[tool.flaxlayer", "TOMLDecodeError"),
    "deep": ("[tool.flaxlayer]\nonly = " + "[" * 5000, ""),
    "long": ("[tool.flaxlayer]\n#" + "x" * 2**20, "more than 1,048,576 bytes"),
    "many": (f"[tool.flaxlayer]\nonly = {['x'] * 1001}", "more than 1000 items"),
    "a long key": (f"[tool.flaxlayer]\n{'x' * 10**5} = 3", "is not known"),
}


@pytest.mark.law("S6")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_is_refused_in_few_words(name, tmp_path):
    text, said = REFUSED[name]
    with pytest.raises(ReadProjectError) as caught:
        read_project(written(tmp_path, text))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 2_000


@pytest.mark.law("S6")
def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "pyproject.toml").write_bytes(b"[tool.flaxlayer]\nonly = ['\xff']")
    with pytest.raises(ReadProjectError):
        read_project(tmp_path)


@pytest.mark.law("S6")
def test_what_is_wrong_elsewhere_is_for_others_to_say(tmp_path):
    assert read_project(written(tmp_path, "[tool.other")) == Project()
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "pyproject.toml").mkdir()
    assert read_project(folder) == Project()


TESTS = """
import flax.linen as nn, numpy as np
from flaxlayer_testing import parametrize_checks, run_check
from flaxlayer_testing.run.samples import NegatesOutputs

X = (nn.Dense(2), np.ones((2, 3), np.float32))

@parametrize_checks([X], layer=NegatesOutputs)
def test_dense(subject, check):
    run_check(subject, check)
"""
TABLE = """
[tool.flaxlayer]
only = ["check_infer*", "check_see*", "check_streams"]
exclude = ["check_streams"]
[[tool.flaxlayer.expected-failures]]
subject = "Dense"
check = "check_inference"
error = "ParityError"
message = "outputs in inference"
reason = "it negates"
"""


def session(folder, *words):
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-m", "pytest", "-p", "flaxlayer_testing.plugin", "-q", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.law("T2")
def test_the_plugin_takes_checks_and_known_failures_from_the_table(tmp_path):
    (tmp_path / "test_sample.py").write_text(TESTS)
    done = session(written(tmp_path, TABLE))
    assert "1 passed, 1 skipped, 1 xfailed" in done.stdout, done.stdout + done.stderr
    words = ["--collect-only", "--flaxlayer-only", "check_s*", "--flaxlayer-exclude", "*streams"]
    named = session(tmp_path, *words).stdout
    assert "check_sown" in named
    assert "check_streams" not in named
    assert "check_inference" not in named


@pytest.mark.slow
@pytest.mark.law("S6")
def test_a_table_that_cannot_be_read_is_an_error_of_usage(tmp_path):
    done = session(written(tmp_path, "[tool.flaxlayer]\nonyl = []"))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "the nearest is 'only'" in done.stderr
    assert "Traceback" not in done.stderr
