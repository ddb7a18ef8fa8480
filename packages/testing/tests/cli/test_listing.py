"""The lists of checks and features, the choice among them, and checks of a user (T2)."""

import json
import re
import sys

import pytest
from typer.testing import CliRunner

from flaxlayer_testing import FEATURES, LINEN_FEATURES, NNX_FEATURES, checks
from flaxlayer_testing.checks import registry
from flaxlayer_testing.cli.app import app

MINE = """
from flaxlayer_testing import KeepLawError, Need, check

@check("A5", "my law", needs=[Need.TRACEABLE])
def check_of_mine(subject):
    \"\"\"Outputs are as I like them.\"\"\"
    raise KeepLawError("I do not like them.", law="A5")
"""
DENSE = ["check", "flax.linen:Dense", "--set", "features=2", "--input", "float32[2,3]"]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A directory with a module of checks, and a list of checks of its own."""
    (tmp_path / "my_checks.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(registry, "_KNOWN", dict(registry._KNOWN))
    yield tmp_path
    sys.modules.pop("my_checks", None)


def run(*words):
    return CliRunner().invoke(app, list(words))


@pytest.mark.law("T2")
@pytest.mark.parametrize("command", ["check", "search", "zoo"])
def test_a_line_says_of_each_check_its_laws_needs_and_what_it_checks(command):
    result = run(command, "--list-checks", "--only", "check_state_*", "--only", "check_seed")
    assert result.exit_code == 0, result.output
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["check", "laws", "needs", "what", "it", "checks"]
    assert sorted(line.split()[0] for line in lines) == [
        "check_seed",
        "check_state_inference",
        "check_state_training",
        "check_state_updates",
    ]
    (line,) = (line for line in lines if line.startswith("check_state_training "))
    (known,) = checks(only=["check_state_training"])
    for part in (", ".join(known.laws), "state", known.summary):
        assert f"  {part}" in line


@pytest.mark.law("T2")
def test_the_list_is_written_as_json(project):
    result = run("search", "--list-checks", "--slow", "--json", "out/list.json")
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads((project / "out/list.json").read_text())}
    assert list(rows) == [check.name for check in checks(slow=True)]
    row = rows["check_exported_model"]
    assert row["slow"]
    assert row["needs"]["tensorflow"].startswith("TensorFlow is not installed")
    assert not rows["check_inference"]["slow"]


@pytest.mark.law("T2")
@pytest.mark.parametrize("framework", ["linen", "nnx"])
def test_the_features_are_those_of_the_framework(framework):
    result = run("search", "--list-features", "--framework", framework)
    assert result.exit_code == 0, result.output
    listed = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert listed == list(LINEN_FEATURES if framework == "linen" else NNX_FEATURES)
    assert FEATURES["dense"] in result.stdout


@pytest.mark.law("T2")
def test_what_is_excluded_does_not_run():
    words = ["--only", "check_state_*", "--only", "check_seed", "--exclude", "check_state_inf*"]
    result = run(*DENSE, *words)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "1 module, 1 passed, 2 skipped"


@pytest.mark.law("T2")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--exclude", "check_sed"], "the nearest: check_seed"),
        (["--only", "check_seed", "--exclude", "check_s*"], "No check is left."),
        (["--checks", "nowhere"], "No module named 'nowhere'"),
        (["--checks", "json"], "json holds no check."),
    ],
    ids=["typo", "none left", "no module", "no checks"],
)
def test_a_choice_that_cannot_be_made_ends_with_2(words, said):
    result = run(*DENSE, *words)
    assert (result.exit_code, said in result.output) == (2, True), result.output


@pytest.mark.law("T2")
def test_a_check_of_a_user_is_listed_run_and_replayed_like_ours(project):
    mine = ["--checks", "my_checks"]
    listed = run("search", "--list-checks", *mine).stdout.splitlines()[-1]
    line = r"check_of_mine +A5, my law +traceable +Outputs are as I like them\."
    assert re.fullmatch(line, listed)
    assert "check_of_mine" not in run("search", "--list-checks").stdout

    words = ["--only", "check_of_*", "--only", "check_seed"]
    result = run(*DENSE, *mine, *words)
    assert result.exit_code == 1
    assert "1 failed, 1 passed" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.endswith("--checks my_checks --seed 0 --only check_of_mine")

    found = run("search", "--examples", "2", *mine, *words)
    replay = found.stdout.splitlines()[-1].removeprefix("Replay: ").split()
    assert replay[1:] == ["replay", "flaxlayer-failure.json", *mine, "--only", "check_of_mine"]
    again = run(*replay[1:])
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (1, found.stdout.splitlines()[-1])
