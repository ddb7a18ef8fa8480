"""A release has one version everywhere, and its workflow and templates ask for what they should."""

import configparser
import re
import shutil
import tomllib

import pytest
import yaml

from conformance.release import ROOT, disagreements, notes, versions

GITHUB = ROOT / ".github"
TEMPLATES = sorted(
    path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"
)
PACKAGES = sorted((ROOT / "packages").glob("*/pyproject.toml"))


def read(path):
    return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)


def workflow():
    return read(GITHUB / "workflows" / "release.yml")


def lines(job):
    return [step.get("run", step.get("uses")) for step in workflow()["jobs"][job]["steps"]]


def tox(name):
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    return config[f"testenv:{name}"]


# One version.


def test_all_places_name_one_version():
    found = versions()
    assert disagreements(f"v{found['flaxlayer']}") == []
    assert found.keys() == {
        "flaxlayer",
        "flaxlayer-core",
        "flaxlayer-testing",
        "flaxlayer-core for flaxlayer",
        "flaxlayer for flaxlayer-testing",
        "CITATION.cff",
        "CHANGELOG.md",
    }


PLACES = {
    "a package": (
        "packages/core/pyproject.toml",
        'version = "',
        'version = "9',
        "flaxlayer-core: 9",
    ),
    "a pin": ("packages/layer/pyproject.toml", "core==", "core==9", "flaxlayer-core for flaxlayer"),
    "no pin": ("packages/testing/pyproject.toml", '"flaxlayer==0', '"flaxlayer>=0', "no version"),
    "the citation": ("CITATION.cff", "\nversion: ", "\nversion: 9", "CITATION.cff: 9"),
    "the changelog": ("CHANGELOG.md", "\n## [", "\n## [Unreleased]\n\n## [9", "CHANGELOG.md: 9"),
    "no changelog": ("CHANGELOG.md", "\n## [", "\n## Of ", "CHANGELOG.md: no version"),
}


@pytest.mark.parametrize("place", PLACES)
def test_another_version_is_found(place, tmp_path):
    for path in [*PACKAGES, ROOT / "CITATION.cff", ROOT / "CHANGELOG.md"]:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    assert disagreements(root=tmp_path) == []
    name, old, new, line = PLACES[place]
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new), encoding="utf-8")
    (found,) = disagreements(root=tmp_path)
    assert line in found


def test_a_tag_of_another_version_is_found():
    version = versions()["flaxlayer"]
    assert len(disagreements("v99.0.0")) == len(versions())
    assert disagreements(version) == [f"{version}: not v{version}"]


def test_the_notes_are_those_of_the_latest_version(tmp_path):
    parts = ["# C", "## [Unreleased]", "- new", "## [2.0.0] - 2030-01-01", "- two", "## [1.0.0]"]
    (tmp_path / "CHANGELOG.md").write_text("\n\n".join(parts))
    assert notes(tmp_path) == "- two\n"
    assert notes().startswith("### Added")


# What is built.


def test_every_supported_python_is_tried():
    pythons = re.search(r"FLAXLAYER_PYTHONS = (.*)", tox("release")["set_env"])[1].split()
    assert pythons
    for path in PACKAGES:
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        named = [line.split()[-1] for line in project["classifiers"] if re.search(r":: 3\.", line)]
        assert named == pythons
        assert project["requires-python"] == f">={pythons[0]}"
    ci = read(GITHUB / "workflows" / "ci.yml")["jobs"]
    assert ci["test"]["strategy"]["matrix"]["python"] == pythons
    assert "release" in ci["check"]["strategy"]["matrix"]["environment"]


def test_what_is_built_is_checked_and_tested():
    before, after = tox("release")["commands_pre"], tox("release")["commands"]
    for tool in ("uv build", "twine check --strict dist/*.whl dist/*.tar.gz", "cffconvert"):
        assert tool in before
    assert "check-wheel-contents dist/*.whl" in before
    for name in ("downstream", "extras_together", "first_minute"):
        assert f"packages/testing/tests/test_{name}.py" in after
        assert (ROOT / f"packages/testing/tests/test_{name}.py").exists()


# What is published.


def test_a_tag_alone_publishes():
    assert workflow()["on"] == {"push": {"tags": ["v*"]}}


def test_the_build_is_checked_before_it_is_published():
    assert lines("build")[2:5] == [
        'python -m conformance.release check "$GITHUB_REF_NAME"',
        "./dev release",
        "python -m conformance.release notes > dist/notes.md",
    ]
    assert workflow()["jobs"]["publish"]["needs"] == "build"
    assert workflow()["jobs"]["announce"]["needs"] == "publish"


def test_publishing_is_trusted_without_a_token():
    text = (GITHUB / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "password" not in text
    assert workflow()["permissions"] == {"contents": "read"}
    permissions = {name: job.get("permissions") for name, job in workflow()["jobs"].items()}
    assert permissions == {
        "build": None,
        "publish": {"id-token": "write"},
        "announce": {"contents": "write"},
    }
    publish = workflow()["jobs"]["publish"]
    assert publish["environment"]["name"] == "pypi"
    assert publish["steps"][-1]["uses"].startswith("pypa/gh-action-pypi-publish@")
    # What may publish runs nothing of the repository.
    assert not any("checkout" in line for line in [*lines("publish"), *lines("announce")])


# What is asked of people.


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_asks_for_the_report(path):
    template = read(path)
    assert {"name", "description", "labels", "body"} == template.keys()
    fields = [part for part in template["body"] if part["type"] != "markdown"]
    assert all(part["type"] in ("textarea", "input", "dropdown", "checkboxes") for part in fields)
    assert all(part["attributes"]["label"] for part in fields)
    names = [part["id"] for part in fields]
    assert len(set(names)) == len(names)
    (report,) = [part for part in fields if part["id"] == "report"]
    assert "flaxlayer-conformance check" in report["attributes"]["description"]


def test_there_are_templates():
    assert [path.stem for path in TEMPLATES] == ["bug", "module", "wish"]
    module = read(GITHUB / "ISSUE_TEMPLATE" / "module.yml")
    (report,) = [part for part in module["body"] if part.get("id") == "report"]
    assert report["validations"] == {"required": "true"}


def test_the_citation_has_what_its_format_asks_for():
    citation = read(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= citation.keys()
    assert citation["license"] == "Apache-2.0"
