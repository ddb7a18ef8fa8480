"""`flaxlayer_core` imports no framework but JAX and Flax, and the check for that can fail."""

import subprocess
import sys
from pathlib import Path

import pytest

FOREIGN = ("keras", "tensorflow", "torch")

IMPORT_ALL = """
import importlib, pkgutil, sys

def fail(name):
    raise

package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=fail):
    importlib.import_module(module.name)
print(*sys.modules)
"""


def foreign_imports(package: str, *, folder: Path | None = None) -> set[str]:
    """Names the foreign frameworks that a fresh process holds once it imported all of `package`."""
    prelude = f"import sys; sys.path.insert(0, {str(folder)!r})" if folder else ""
    command = [sys.executable, "-c", prelude + IMPORT_ALL, package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(FOREIGN) & set(done.stdout.split())


def write_package(folder: Path, *, submodule: str) -> None:
    """Writes the package `probe` around a nested module, beside fakes of what it may import."""
    nested = folder / "probe" / "nested"
    nested.mkdir(parents=True)
    for init in (nested, nested.parent):
        (init / "__init__.py").touch()
    for framework in FOREIGN:
        (folder / f"{framework}.py").touch()
    (nested / "module.py").write_text(submodule)


def test_no_module_of_core_imports_a_foreign_framework():
    assert foreign_imports("flaxlayer_core") == set()


@pytest.mark.parametrize("framework", FOREIGN)
def test_the_check_finds_a_framework_that_a_nested_module_imports(tmp_path, framework):
    write_package(tmp_path, submodule=f"import {framework}")
    assert foreign_imports("probe", folder=tmp_path) == {framework}


def test_the_check_is_silent_about_frameworks_that_nobody_imports(tmp_path):
    write_package(tmp_path, submodule="")
    assert foreign_imports("probe", folder=tmp_path) == set()


def test_the_check_does_not_pass_over_a_module_that_fails_to_import(tmp_path):
    write_package(tmp_path, submodule="raise RuntimeError('broken')")
    with pytest.raises(AssertionError, match="RuntimeError: broken"):
        foreign_imports("probe", folder=tmp_path)
