"""All extras of the layer are installed together: a solver finds versions for them."""

import subprocess
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2] / "layer" / "pyproject.toml"
pytestmark = pytest.mark.long


def solve(uv, wheels, folder, python, *others):
    """Looks for versions of what the layer asks for with all its extras."""
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    layer, core, _ = (path.as_uri() for path in wheels)
    asked = [f"flaxlayer-core @ {core}", f"flaxlayer[{','.join(extras)}] @ {layer}", *others]
    path = folder / "asked.txt"
    path.write_text("\n".join(asked))
    command = [uv, "pip", "compile", "--quiet", "--python-version", python, path]
    return extras, subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_extras_are_installed_together(python, uv, wheels, tmp_path):
    extras, done = solve(uv, wheels, tmp_path, python)
    assert done.returncode == 0, done.stderr
    assert sorted(extras) == ["onnx", "orbax", "safetensors", "tensorflow", "torch"]
    for package in ("jax2onnx", "orbax-checkpoint", "safetensors", "tensorflow-cpu", "torch"):
        assert f"\n{package}==" in done.stdout


def test_an_extra_that_excludes_another_is_found(uv, wheels, tmp_path):
    _, done = solve(uv, wheels, tmp_path, "3.13", "orbax-checkpoint>=0.12.8")
    assert done.returncode == 1
    assert "jax2onnx" in done.stderr
