"""The command `search`: what it finds, says, keeps and writes (T1, T8)."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase
from typer.testing import CliRunner

from flaxlayer_testing.cli.app import app
from flaxlayer_testing.run.failure import Failure

LAYERS = """
from flaxlayer import FlaxLayer

class LosesState(FlaxLayer):
    def __call__(self, *args, **kwargs):
        if self.built and self.state:
            raise RuntimeError(f"no state of {len(self.state)}")
        return super().__call__(*args, **kwargs)

class Flaws(LosesState):
    def __call__(self, *args, **kwargs):
        outputs = super().__call__(*args, **kwargs)
        return "text" if self.built else outputs
"""
WRONG = "flaxlayer_testing.run.samples:NegatesOutputs"
QUICK = ["--only", "check_inference"]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A directory with layers of a user's own."""
    (tmp_path / "my_layers.py").write_text(LAYERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_layers", None)


@pytest.fixture
def database(project):
    """Hypothesis's profile, with a database in the directory."""
    kept = settings.get_current_profile_name()
    settings.register_profile("kept", database=DirectoryBasedExampleDatabase(project / "kept"))
    settings.load_profile("kept")
    yield project / "kept"
    settings.load_profile(kept)


def run(*words):
    return CliRunner().invoke(app, ["search", *words])


@pytest.mark.slow
@pytest.mark.law("T1")
def test_distinct_bugs_are_written_each_with_a_count_and_a_replay():
    words = ["--layer", "my_layers:Flaws", "--continue-after-failure", *QUICK]
    result = run(*words, "--examples", "12", "--seed", "3")
    assert result.exit_code == 1, result.output
    wrote = [line for line in result.stdout.splitlines() if line.startswith("Wrote ")]
    files = [line.split(":")[0].removeprefix("Wrote ") for line in wrote]
    assert files[:2] == ["flaxlayer-failure.json", "flaxlayer-failure-2.json"]
    (state,) = (line for line in wrote if "RuntimeError" in line)
    assert state.endswith("no state of #")
    replays = [line.split() for line in result.stdout.splitlines() if line.startswith("Replay: ")]
    assert [words[3] for words in replays] == files
    smallest = {Failure.load(Path(file)).case for file in files}
    assert len(smallest) > 1


@pytest.mark.law("T1")
def test_what_failed_is_tried_first_in_the_next_search(database):
    words = ["--layer", WRONG, *QUICK, "--statistics"]
    assert "0 kept from earlier searches" in run(*words, "--examples", "3").stdout
    assert database.is_dir()
    assert "1 kept from earlier searches" in run(*words, "--examples", "3", "--seed", "8").stdout
    without = run(*words, "--examples", "3", "--no-database")
    assert "0 kept from earlier searches" in without.stdout
    assert without.exit_code == 1


@pytest.mark.law("T1")
def test_no_database_keeps_nothing(database):
    run("--layer", WRONG, *QUICK, "--examples", "3", "--no-database")
    assert not database.exists()


@pytest.mark.law("T1")
def test_a_search_for_features_says_how_often_each_was_drawn():
    words = ["--features", "dropout,setup", "--without", "nested", "--statistics"]
    result = run("--examples", "3", "--only", "check_seed", *words)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    shares = {words[0]: words[1:] for words in lines if len(words) == 3}
    assert shares["dropout"] == shares["setup"] == ["3", "100.0%"]
    assert "nested" not in shares
    assert "Ended: as many modules as were asked for" in result.stdout


@pytest.mark.law("T1")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--features", "dropot"], 2, "unknown features ['dropot']"),
        (["--features", "perturb", "--framework", "nnx"], 2, "No nnx modules can be drawn."),
        (
            ["--features", "flag_negated", "--without", "flag"],
            2,
            "No module shows these features.",
        ),
        (["--max-time", "0"], 0, "0 of 3 modules were checked: the time is over."),
        (["--workers", "0"], 2, "--workers"),
    ],
    ids=["unknown", "of linen", "contradiction", "no time", "no workers"],
)
def test_what_cannot_be_searched_is_said(words, code, said):
    result = run("--examples", "3", "--only", "check_seed", *words)
    assert (result.exit_code, said in result.output) == (code, True), result.output
