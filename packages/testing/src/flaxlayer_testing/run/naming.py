"""Names of layers, and the line that runs a check again (T8)."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from typing import Any

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.oracle.nnx import is_nnx
from flaxlayer_testing.subject.layer import LayerFactory
from flaxlayer_testing.subject.subject import Subject

__all__ = ["import_path", "layer_name", "module_name", "replay_command", "subject_name"]


def import_path(layer: LayerFactory) -> tuple[str, str] | None:
    """Returns the module and the name that a layer factory can be imported by, if it can."""
    module, name = getattr(layer, "__module__", None), getattr(layer, "__qualname__", None)
    found = sys.modules.get(module or "")
    if not module or not name or getattr(found, name, None) is not layer:
        return None
    # The shortest module that offers it, which is where users import it from.
    package = module.partition(".")[0]
    public = getattr(sys.modules.get(package), name, None) is layer
    return (package if public else module, name)


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


def replay_command(subject: Subject, check: str) -> str:
    """Returns the line that runs a check of a subject again.

    Args:
        subject: A subject.
        check: The name of a check.

    Returns:
        A shell command where there is one, else a call in Python.
    """
    if subject.command:
        return f"{subject.command} --only {check}"
    if subject.case is None:
        call = f"only=[{check!r}], seed={subject.seed}"
        return f"check_module({_module_text(subject.module)}, *inputs, {call})"
    python = [*current_backend().environment, "python", "-m", "flaxlayer_testing.run.replay"]
    arguments = ["--check", check, "--layer", layer_name(subject.layer), subject.case.to_json()]
    return shlex.join([*python, *arguments])
