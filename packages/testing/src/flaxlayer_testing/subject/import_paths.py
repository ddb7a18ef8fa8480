"""How another process, or a program, imports a layer under test."""

from __future__ import annotations

import sys

from flaxlayer_testing.subject.layer import LayerFactory

__all__ = ["import_path"]


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
