"""Names of layers, and the line that runs a check again (T8)."""

from __future__ import annotations

import os
import shlex
import sys
from functools import partial
from typing import Any

import jax

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks import Check
from flaxlayer_testing.oracle.raw_calls import is_nnx
from flaxlayer_testing.project import pytest_root
from flaxlayer_testing.subject.import_paths import import_path
from flaxlayer_testing.subject.layer import LayerFactory
from flaxlayer_testing.subject.subject import Subject

__all__ = ["environment", "layer_name", "module_name", "replay_command", "subject_name"]


def layer_name(layer: LayerFactory) -> str:
    """Returns a layer factory as text; one with settings by the layer alone."""
    if isinstance(layer, partial):
        return layer_name(layer.func)
    path = import_path(layer)
    return ":".join(path) if path else getattr(layer, "__name__", repr(layer))


def module_name(module: Any) -> str:
    """Returns the name of a module: that of its class, or of the function that makes it."""
    while isinstance(module, partial):
        module = module.func
    name = getattr(module, "__name__", None)
    return name if isinstance(name, str) else type(module).__name__


def subject_name(subject: Subject) -> str:
    """Returns the name of a subject: that of its entry in a list, else of its module."""
    return subject.name or module_name(subject.module)


def _module_text(module: Any) -> str:
    # An nnx object shows all that it holds.
    if is_nnx(module):
        name = module_name(module)
        return f"partial({name}, ...)" if isinstance(module, partial) else f"{name}(...)"
    return repr(module).replace("\n", " ")


def replay_command(subject: Subject, check: Check) -> str:
    """Returns the line that runs a check of a subject again, in a shell that knows nothing yet.

    Args:
        subject: A subject.
        check: A check.

    Returns:
        The command that the subject came from; for a generated case one that holds it; the test in
        which it runs; or the program. In a notebook, which no shell starts, a call in Python.
    """
    if subject.command:
        return f"{subject.command} --only {check.name}"
    test = _running_test()
    local = _is_local(_home(subject.layer)) or _is_local(check.home)
    if subject.case is not None and not (test and local):
        arguments = ["--check", check.name, "--layer", layer_name(subject.layer)]
        arguments += [] if check.is_ours else ["--checks", check.home]
        words = ["python", "-m", "flaxlayer_testing.run.replay", *arguments, subject.case.to_json()]
    elif test:
        words = ["python", "-m", "pytest", test]
    elif _is_program():
        words = ["python", *sys.orig_argv[1:]]
    else:
        call = f"only=[{check.name!r}], seed={subject.seed}"
        return f"check_module({_module_text(subject.module)}, *inputs, {call})"
    return shlex.join([*environment(), *words])


def environment() -> list[str]:
    """Returns what a shell sets before a command that runs as this process does."""
    x64 = ["JAX_ENABLE_X64=1"] if jax.config.read("jax_enable_x64") else []
    return [f"KERAS_BACKEND={current_backend().name}", *x64]


def _running_test() -> str:
    """Returns what pytest calls the test that runs, seen from here; empty if none does."""
    test, _, _ = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")
    file, colons, rest = test.partition("::")
    root = pytest_root()
    return f"{os.path.relpath(root / file) if root else file}{colons}{rest}" if file else ""


def _home(layer: LayerFactory) -> str:
    return (import_path(layer) or ("", ""))[0]


def _is_local(module: str) -> bool:
    # A shell imports what is installed; a test module only pytest finds.
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return "site-packages" not in file and not module.startswith("flaxlayer")


def _is_program() -> bool:
    return len(sys.orig_argv) > 1 and not hasattr(sys, "ps1") and "IPython" not in sys.modules
