"""A project outside the workspace uses the built wheels: decorator, plugin, command (T2)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def _run(folder, *words):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV", "UV_PROJECT"))
    }
    environment["KERAS_BACKEND"] = "jax"
    command = [str(word) for word in words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _wheels(folder):
    """Builds the wheels of a copy of the packages, so that nothing is written into the tree."""
    names = [folder / "source" / name for name in ("core", "layer", "testing")]
    for target in names:
        ignored = shutil.ignore_patterns("__pycache__", "tests")
        shutil.copytree(ROOT / "packages" / target.name, target, ignore=ignored)
        _run(folder, UV, "build", "--quiet", "--wheel", target, "--out-dir", folder / "dist")
    return sorted((folder / "dist").glob("*.whl"))


@pytest.mark.long
@pytest.mark.law("T2")
@pytest.mark.skipif(UV is None, reason="uv is not on PATH")
def test_a_project_outside_the_workspace_uses_the_wheels(tmp_path):
    project, venv = tmp_path / "project", tmp_path / "venv"
    shutil.copytree(HERE / "downstream", project)
    wheels = _wheels(tmp_path)
    assert len(wheels) == 3
    # Dependencies are those of this environment; the packages under test come from the wheels.
    _run(tmp_path, UV, "venv", "--quiet", "--python", sys.executable, venv)
    site = _run(tmp_path, sys.executable, "-c", "import site; print(site.getsitepackages()[0])")
    (own,) = venv.glob("lib/python3*/site-packages")
    python = venv / "bin" / "python"
    _run(tmp_path, UV, "pip", "install", "--quiet", "--python", python, "--no-deps", *wheels)
    (own / "zz_dependencies.pth").write_text(site)

    where = _run(project, python, "-c", "import flaxlayer_testing as t; print(t.__file__)")
    assert where.startswith(str(own))

    report = project / "report"
    text = _run(project, python, "-m", "pytest", "tests/check_net.py", "-m", "flaxlayer",
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
    text = _run(project, command, "check", "downstream:Net", "--input", "float32[2,3]", *only)
    assert text.splitlines()[-1] == "1 module, 1 passed"
