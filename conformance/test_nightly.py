"""The nightly workflow runs every long suite, and every file of figures comes from it (T8)."""

import ast
import configparser
import itertools
import json
import re
from pathlib import Path

import pytest
import yaml

from conformance.figures_page import RESULTS, ROOT
from conformance.gather import gather
from conformance.versions import RECORD, environments

NIGHTLY = ROOT / ".github" / "workflows" / "nightly.yml"
SUITES = {
    "conformance-long",
    "conformance-long-tensorflow",
    "laws-tensorflow",
    "laws-torch",
    "onnx",
    "processes",
    "field",
}


def jobs():
    return yaml.safe_load(NIGHTLY.read_text(encoding="utf-8"))["jobs"]


def runs():
    return {entry["name"]: entry for entry in jobs()["suite"]["strategy"]["matrix"]["include"]}


def commands():
    return [run["run"].split() for run in runs().values()]


def test_every_command_is_an_environment_of_tox():
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    known = {name.removeprefix("testenv:") for name in config.sections()}
    for words in commands():
        assert words[0] == "./dev"
        assert words[1] in known, words


def test_every_long_suite_runs():
    assert {words[1] for words in commands()} >= SUITES
    assert any(words[1:5] == ["program", "-m", "flaxlayer_testing", "zoo"] for words in commands())


def test_an_environment_runs_each_file_with_long_tests():
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    commands = (config[name].get("commands", "") for name in config.sections())
    lines = [line for text in commands for line in text.replace("not long", "").split("\n")]
    words = [set(line.split()) for line in lines if re.search(r"-m .*\blong\b", line)]
    files = [
        path.relative_to(ROOT)
        for room in ("conformance", "packages")
        for path in (ROOT / room).rglob("test_*.py")
        if path != Path(__file__).resolve() and "mark.long" in path.read_text(encoding="utf-8")
    ]
    assert files
    for path in files:
        names = {str(each) for each in (path, *path.parents)}
        assert any(names & each for each in words), path


def test_the_matrix_runs_with_the_python_of_each_environment():
    found = jobs()["versions"]["strategy"]["matrix"]["include"]
    assert {run["environment"]: run["python"] for run in found} == {
        environment.name: environment.python for environment in environments()
    }


def _long_tests(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        marks = map(ast.unparse, getattr(node, "decorator_list", ()))
        if isinstance(node, ast.FunctionDef) and "pytest.mark.long" in marks:
            yield node.name


@pytest.mark.parametrize(
    ("suite", "folder"),
    [
        ("conformance-long", "conformance"),
        ("conformance-long-tensorflow", "conformance/backends"),
    ],
    ids=["jax", "tensorflow"],
)
def test_every_long_test_is_chosen_by_one_run(suite, folder):
    chosen = [words for words in commands() if words[1] == suite]
    text = [" ".join(words).split("-k ")[1].split(" --figures")[0].strip('"') for words in chosen]
    tests = {
        f"{path.name}::{name}": 0
        for path in sorted((ROOT / folder).glob("test_*.py"))
        for name in _long_tests(path)
    }
    assert len(tests) > 2
    for (test, _), expression in itertools.product(tests.items(), text):
        parts = expression.removeprefix("not ").split(" or ")
        matches = any(part in test for part in parts)
        tests[test] += matches != expression.startswith("not ")
    assert set(tests.values()) == {1}, tests


def test_every_file_of_figures_is_written():
    text = NIGHTLY.read_text(encoding="utf-8")
    kept = {f"{run['keep']}.json" for run in runs().values() if "keep" in run}
    written = {Path(name).name for name in re.findall(r"figures/\w+\.json", text)}
    known = {path.name for path in RESULTS.glob("*.json")}
    assert known <= kept | written | {RECORD.name}
    assert "conformance.gather" in text


def test_figures_of_several_machines_are_gathered(tmp_path):
    results, found = tmp_path / "results", tmp_path / "runs"

    def write(path, data):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1) + "\n")

    def matrix(**passed):
        return [{"environment": name, "passed": count} for name, count in passed.items()]

    write(results / "matrix.json", matrix(old=1, new=1))
    write(results / "same.json", {"modules": 1})
    write(results / "long.json", {"modules": 1})
    write(found / "run-old" / "matrix.json", matrix(old=2, new=1))
    write(found / "run-new" / "matrix.json", matrix(old=1, new=3))
    write(found / "run-newest" / "matrix.json", matrix(old=1, new=1, newest=4))
    write(found / "run-long" / "figures" / "long.json", {"modules": 2})
    write(found / "run-same" / "figures" / "same.json", {"modules": 1})
    write(found / "run-other" / "figures" / "other.json", {"modules": 3})
    assert sorted(gather(found, results)) == ["long.json", "matrix.json", "other.json"]
    kept = {path.stem: json.loads(path.read_text()) for path in results.glob("*.json")}
    assert kept["matrix"] == matrix(old=2, new=3, newest=4)
    assert kept["long"] == {"modules": 2}
    assert kept["other"] == {"modules": 3}
