"""What is supported is said once: tox, workflows, classifiers, bounds and the page agree."""

import re
import tomllib

import pytest
import yaml

from conformance.versions import PAGE, ROOT, environments, page

PACKAGES = ("core", "layer", "testing")
LATEST = {environment.python for environment in environments() if "latest" in environment.name}


def project(package):
    return tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text())["project"]


def jobs():
    return yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]


def test_a_workflow_runs_each_environment_with_its_python():
    job = jobs()["versions"]
    run = {entry["environment"]: entry["python"] for entry in job["strategy"]["matrix"]["include"]}
    assert run == {environment.name: environment.python for environment in environments()}
    assert job["steps"][-1]["run"] == "./dev ${{ matrix.environment }}"
    assert "versions" in jobs()["gate"]["needs"]


def test_the_default_suite_runs_with_each_python_of_the_matrix():
    assert set(jobs()["test"]["strategy"]["matrix"]["python"]) == LATEST


@pytest.mark.parametrize("package", PACKAGES)
def test_the_classifiers_name_each_python_of_the_matrix(package):
    said = re.findall(r"Python :: (3\.\d+)", "\n".join(project(package)["classifiers"]))
    assert set(said) == LATEST
    lowest = min(LATEST, key=lambda version: int(version.split(".")[1]))
    assert project(package)["requires-python"] == f">={lowest}"


@pytest.mark.parametrize("package", PACKAGES)
def test_lower_bounds_are_the_oldest_versions_of_the_matrix(package):
    oldest = environments()[0].pins
    bounds = dict(re.findall(r"([\w-]+)>=([\w.]+)", "\n".join(project(package)["dependencies"])))
    shared = bounds.keys() & oldest.keys()
    assert shared
    assert {name: bounds[name] for name in shared} == {name: oldest[name] for name in shared}


def test_the_page_is_made_from_the_matrix_and_its_record():
    assert PAGE.read_text() == page() + "\n", "run `python -m conformance.versions`"
