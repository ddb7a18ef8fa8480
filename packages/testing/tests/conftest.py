"""One Hypothesis profile for all tests of the harness; wheels, and programs outside the tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine.
settings.register_profile(
    "flaxlayer",
    settings.get_profile("drawing"),
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
    """The wheels of the layer, of core and of testing; nothing is written into the tree.

    Those of a release are in the folder FLAXLAYER_DIST; else they are built of a copy.
    """
    built = Path(os.environ.get("FLAXLAYER_DIST") or _build(tmp_path_factory.mktemp("wheels"), uv))
    layer, core, testing = sorted(built.glob("*.whl"))
    return [layer, core, testing]


def _build(folder, uv):
    for name in ("core", "layer", "testing"):
        source = folder / "source" / name
        ignored = shutil.ignore_patterns("__pycache__", "tests")
        shutil.copytree(PACKAGES / name, source, ignore=ignored)
        _run(folder, uv, "build", "--quiet", "--wheel", source, "--out-dir", folder / "dist")
    return folder / "dist"


@pytest.fixture(scope="session")
def environment(tmp_path_factory, uv, wheels, run):
    """Makes an environment of a Python with the three wheels and what they ask for, once."""
    made = {}

    def make(python, *extras):
        if (python, *extras) not in made:
            folder = tmp_path_factory.mktemp("environment")
            run(folder, uv, "venv", "--quiet", "--python", _interpreter(python), "venv")
            found = made[python, *extras] = folder / "venv" / "bin" / "python"
            layer, *others = wheels
            asked = [f"flaxlayer[{','.join(extras)}] @ {layer.as_uri()}", *others]
            run(folder, uv, "pip", "install", "--quiet", "--python", found, *asked)
        return made[python, *extras]

    return make


def _interpreter(version):
    """Where a Python is: this one, on PATH, one of pyenv; else what uv makes of its version."""
    if sys.version.startswith(f"{version}."):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    own = [shutil.which(f"python{version}"), *pyenv.glob(f"versions/{version}.*/bin/python")]
    return next((str(path) for path in own if path is not None and _starts(path)), version)


def _starts(path):
    # A shim of pyenv may have nothing behind it.
    return subprocess.run([str(path), "-c", ""], capture_output=True).returncode == 0
