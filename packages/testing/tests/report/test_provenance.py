"""Which commit and which versions a record names."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from flaxlayer_testing.report import provenance
from flaxlayer_testing.report.provenance import commit_of
from flaxlayer_testing.report.record import Record
from flaxlayer_testing.report.versions import versions

PACKAGES = Path(__file__).parents[3]


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", *who, *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def file(tmp_path):
    git(tmp_path, "init", "--quiet")
    file = tmp_path / "package" / "__init__.py"
    file.parent.mkdir()
    file.write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "First")
    return file


@pytest.mark.law("T8")
def test_a_file_of_a_repository_has_its_commit_and_what_changed_is_dirty(file):
    head = git(file.parent, "rev-parse", "HEAD").strip()
    assert commit_of(file) == head
    git(file.parent, "tag", "v1")
    assert commit_of(file) == head
    file.write_text("x = 2\n")
    assert commit_of(file) == f"{head}-dirty"


@pytest.mark.law("T8")
def test_a_wheel_inside_of_a_repository_has_none_of_its_commits(file, monkeypatch):
    installed = file.parents[1] / "venv" / "site-packages" / "package" / "__init__.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("x = 1\n")
    assert commit_of(installed) == "none"
    monkeypatch.setenv("GIT_DIR", str(file.parents[1] / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(installed.parent))
    assert commit_of(installed) == "none"


@pytest.mark.law("T8")
def test_where_git_is_missing_there_is_no_commit(file, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit_of(file) == "none"


@pytest.mark.law("T8")
def test_a_repository_without_a_commit_gives_none(tmp_path):
    git(tmp_path, "init", "--quiet")
    file = tmp_path / "a.py"
    file.write_text("")
    git(tmp_path, "add", ".")
    assert commit_of(file) == "none"


@pytest.mark.law("T8")
def test_a_record_names_our_packages_and_their_commit():
    found = Record().versions
    for name in ("core", "layer", "testing"):
        project = tomllib.loads((PACKAGES / name / "pyproject.toml").read_text())["project"]
        assert found[project["name"]] == project["version"]
    assert found["commit"] == commit_of(PACKAGES / "core/src/flaxlayer_core/__init__.py")
    assert Record.from_json(Record().to_json()).versions == versions()


@pytest.mark.law("T8")
def test_a_source_tree_has_the_version_of_its_project_and_a_wheel_that_of_its_metadata(tmp_path):
    file = tmp_path / "src" / "package" / "__init__.py"
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert provenance._source_version(file) == ""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "package"\nversion = "4.5"\n')
    assert provenance._source_version(file) == "4.5"


@pytest.mark.law("T8")
def test_records_of_other_versions_are_joined_with_both():
    first, second = Record(versions={"keras": "3.1", "jax": "1"}), Record(versions={"keras": "3.2"})
    joined = Record.join([first, second])
    assert joined.versions == {"keras": "3.1, 3.2", "jax": "1"}
