"""One Hypothesis profile for all tests of the harness; wheels, and programs outside the tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A first example pays for tracing, so no deadline; the same examples on every machine.
settings.register_profile(
    "flaxlayer",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("flaxlayer")

PACKAGES = Path(__file__).resolve().parents[2]


def _run(folder, *words, **variables):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KERAS", "PYTHON", "PYTEST", "VIRTUAL_ENV", "UV_PROJECT"))
    }
    command = [str(word) for word in words]
    environment |= variables
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def run():
    """Runs a program in a folder, with nothing of this environment, and returns what it prints."""
    return _run


@pytest.fixture(scope="session")
def uv():
    """The path of uv."""
    path = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return path or pytest.skip("uv is not on PATH")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory, uv):
    """Wheels of a copy of the packages, so that nothing is written into the tree."""
    folder = tmp_path_factory.mktemp("wheels")
    for name in ("core", "layer", "testing"):
        source = folder / "source" / name
        ignored = shutil.ignore_patterns("__pycache__", "tests")
        shutil.copytree(PACKAGES / name, source, ignore=ignored)
        _run(folder, uv, "build", "--quiet", "--wheel", source, "--out-dir", folder / "dist")
    built = sorted((folder / "dist").glob("*.whl"))
    assert len(built) == 3
    return built
