"""The command `scenarios`, and steps of a user's own (T9)."""

import importlib
import re
import sys

import pytest
from typer.testing import CliRunner

from flaxlayer_testing import SelectCheckError, scenario_step
from flaxlayer_testing.cli.app import app
from flaxlayer_testing.scenario.steps import step_kinds

MINE = """
from flaxlayer_testing import KeepLawError, scenario_step

@scenario_step("my law", times=(1, 2))
def ask_twice(world, times):
    raise KeepLawError("I was asked.", expected="once", found=str(times), law="my law")
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A directory with a module of steps, and a table of steps of its own."""
    (tmp_path / "my_steps.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(step_kinds._STEPS)
    yield tmp_path
    step_kinds._STEPS.clear()
    step_kinds._STEPS.update(before)
    sys.modules.pop("my_steps", None)


def run(*words):
    return CliRunner().invoke(app, list(words))


@pytest.mark.law("T9")
def test_scenarios_that_keep_the_laws_pass_and_are_counted():
    result = run("scenarios", "--examples", "2", "--statistics")
    assert result.exit_code == 0, result.output
    *counts, last = result.stdout.splitlines()
    assert re.fullmatch(r"2 scenarios, \d+ passed", last)
    assert any(line.startswith("surrounding ") for line in counts)
    assert not any("ask_twice" in line for line in counts)


@pytest.mark.slow
@pytest.mark.law("T9")
def test_a_step_of_a_user_is_drawn_shrunk_saved_and_replayed_like_ours():
    for name in set(step_kinds._STEPS) - {"call", "reload"}:
        del step_kinds._STEPS[name]
    words = ["--steps", "my_steps"]
    result = run("scenarios", "--examples", "20", *words)
    assert result.exit_code == 1, result.output
    lines = result.stdout.splitlines()
    assert "  1. ask_twice(times=1)" in lines  # the smallest
    assert "Law: my law" in lines
    replay = "flaxlayer-conformance replay flaxlayer-scenario.json --steps my_steps"
    assert lines[-1].endswith(replay)
    assert any(line.startswith("Wrote flaxlayer-scenario.json: ask_twice, ") for line in lines)
    again = run(*replay.split()[1:])
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (1, lines[-1])


@pytest.mark.law("T9")
@pytest.mark.parametrize("laws", [(), ("A5",)], ids=["no law", "the name of another"])
def test_what_is_no_step_of_its_own_is_refused(laws):
    def call(world):
        """Is called as a step of ours."""

    with pytest.raises(SelectCheckError, match="cannot be a step of scenarios"):
        scenario_step(*laws)(call)


@pytest.mark.law("T9")
def test_a_step_that_is_loaded_again_is_entered_again(project, monkeypatch):
    monkeypatch.syspath_prepend(project)
    module = importlib.import_module("my_steps")
    importlib.reload(module)
    assert step_kinds.known_steps()["ask_twice"].run is module.ask_twice
