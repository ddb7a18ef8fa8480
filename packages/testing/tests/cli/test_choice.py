"""What the command takes from the project's table, and what its options say instead (T8)."""

import sys

import pytest
from typer.testing import CliRunner

from flaxlayer_testing.checks import registry
from flaxlayer_testing.cli.app import app
from flaxlayer_testing.project import set_project

TABLE = """
[tool.flaxlayer]
only = ["check_see*", "check_streams"]
exclude = ["check_streams"]
checks = ["my_checks"]
examples = 2
seed = 5
"""
KNOWN = """
[[tool.flaxlayer.expected-failures]]
subject = "{subject}"
check = "check_inference"
error = "ParityError"
message = "outputs in inference"
reason = "it negates"
"""
MINE = """
from flaxlayer_testing import check

@check("A5")
def check_seen(subject):
    \"\"\"Nothing is checked.\"\"\"
"""
WRONG = ["--layer", "flaxlayer_testing.run.samples:NegatesOutputs"]
DENSE = ["check", "flax.linen:Dense", "--set", "features=2", "--input", "float32[2,3]"]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project with a table and a module of checks."""
    (tmp_path / "pyproject.toml").write_text(TABLE)
    (tmp_path / "my_checks.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(registry, "_KNOWN", dict(registry._KNOWN))
    yield tmp_path
    sys.modules.pop("my_checks", None)
    set_project(None)


def run(*words):
    return CliRunner().invoke(app, list(words))


def listed(*words):
    result = run("search", "--list-checks", *words)
    assert result.exit_code == 0, result.output
    return {line.split()[0] for line in result.stdout.splitlines()[1:]}


@pytest.mark.law("T8")
def test_the_table_chooses_where_no_option_does():
    assert listed() == {"check_seed", "check_seed_steps", "check_seen"}
    assert listed("--exclude", "check_seed") == {"check_seed_steps", "check_seen"}
    assert listed("--only", "check_streams") == {"check_streams"}


@pytest.mark.slow
@pytest.mark.law("T8")
def test_numbers_of_the_table_are_defaults():
    result = run("search", "--only", "check_seed")
    assert result.stdout.splitlines()[-1] == "2 modules, 2 passed"
    result = run("search", "--only", "check_seed", "--examples", "1")
    assert result.stdout.splitlines()[-1] == "1 module, 1 passed"
    result = run(*DENSE, *WRONG, "--only", "check_inference")
    assert "--seed 5" in result.stdout.splitlines()[-1]


@pytest.mark.law("T6")
@pytest.mark.parametrize(
    ("subject", "words", "code"),
    [
        ("Den*", DENSE, 0),
        ("Conv", DENSE, 1),
        pytest.param("generated", ["search"], 0, marks=pytest.mark.slow),
        pytest.param("Dense", ["search"], 1, marks=pytest.mark.slow),
        ("entry", ["zoo", "--from", "my_zoo:ENTRIES"], 0),
    ],
    ids=["check", "check of another", "search", "search of another", "zoo"],
)
def test_known_failures_of_the_table_are_expected_of_their_subjects(subject, words, code, project):
    (project / "pyproject.toml").write_text(TABLE + KNOWN.format(subject=subject))
    zoo = "from flaxlayer_testing.run.samples import Sample, ENTRIES as E\n"
    (project / "my_zoo.py").write_text(zoo + "ENTRIES = [Sample('entry', E[0].make)]\n")
    result = run(*words, *WRONG, "--only", "check_inference")
    assert result.exit_code == code, result.output
    if code == 0:
        assert "expected failure" in result.stdout.splitlines()[-1]
    sys.modules.pop("my_zoo", None)


@pytest.mark.law("T6")
def test_a_known_failure_that_no_module_showed_is_said(project):
    (project / "pyproject.toml").write_text(TABLE + KNOWN.format(subject="*"))
    result = run("search", "--only", "check_inference")
    assert result.exit_code == 0
    assert "The known failure of check_inference did not come about: it negates" in result.stdout
    stale = run(*DENSE, "--only", "check_inference")
    assert (stale.exit_code, "did not come about: it passed" in stale.stdout) == (1, True)


@pytest.mark.law("S6")
def test_a_table_that_cannot_be_read_ends_with_2(project):
    (project / "pyproject.toml").write_text("[tool.flaxlayer]\nworkres = 2")
    result = run(*DENSE)
    assert (result.exit_code, "the nearest is 'workers'" in result.output) == (2, True)
