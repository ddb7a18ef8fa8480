"""What the text of a module may refer to: pieces that no stock layer offers, by their names."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from flaxlayer_testing.spec.operations import OPERATIONS

__all__ = ["named_pieces", "pieces_of"]


def named_pieces(*files: ModuleType) -> dict[str, Any]:
    """Returns the public pieces of files by their names; of two of one name, the first."""
    found: dict[str, Any] = {}
    for file in files:
        found |= {name: getattr(file, name) for name in file.__all__ if name not in found}
    return found


def pieces_of(framework: str) -> dict[str, Any]:
    """Returns the pieces that stand beside the operations of a framework."""
    forms = [operation.forms.get(framework) for operation in OPERATIONS.values()]
    pieces = [piece for form in forms if form is not None for piece in form.pieces]
    return {piece.__name__: piece for piece in pieces}
