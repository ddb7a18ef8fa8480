"""A project outside the workspace uses the built wheels: decorator, plugin, command (T2)."""

import json
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.long
@pytest.mark.law("T2")
def test_a_project_outside_the_workspace_uses_the_wheels(tmp_path, uv, wheels, run):
    project, venv = tmp_path / "project", tmp_path / "venv"
    shutil.copytree(HERE / "downstream", project)
    # Dependencies are those of this environment; the packages under test come from the wheels.
    run(tmp_path, uv, "venv", "--quiet", "--python", sys.executable, venv)
    site = run(tmp_path, sys.executable, "-c", "import site; print(site.getsitepackages()[0])")
    (own,) = venv.glob("lib/python3*/site-packages")
    python = venv / "bin" / "python"
    run(tmp_path, uv, "pip", "install", "--quiet", "--python", python, "--no-deps", *wheels)
    (own / "zz_dependencies.pth").write_text(site)

    where = run(project, python, "-c", "import flaxlayer_testing as t; print(t.__file__)")
    assert where.startswith(str(own))

    report = project / "report"
    text = run(project, python, "-m", "pytest", "tests/check_net.py", "-m", "flaxlayer",
               "--flaxlayer-report", report)  # fmt: skip
    assert "2 passed, 1 skipped" in text
    assert "PytestAssertRewriteWarning" not in text
    data = json.loads((report / "report.json").read_text())
    assert [entry["status"] for part in data["reports"] for entry in part["entries"]] == [
        "passed",
        "passed",
        "skipped",
    ]
    assert (report / "report.html").read_text().startswith("<!doctype html>")

    command = venv / "bin" / "flaxlayer-conformance"
    only = ["--only", "check_inference"]
    text = run(project, command, "check", "downstream:Net", "--input", "float32[2,3]", *only)
    assert text.splitlines()[-1] == "1 module, 1 passed"
