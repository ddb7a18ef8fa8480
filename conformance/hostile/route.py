"""What a route is, and the stored forms that several routes share."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.hostile.byte_changes import change_bytes
from conformance.hostile.tree_changes import change_tree

__all__ = [
    "Route",
    "UnreadableError",
    "change_json_file",
    "changed_json",
    "read_json",
    "write_json",
]


class UnreadableError(Exception):
    """The harness itself cannot read a changed text as JSON, so that there is nothing to load."""


@dataclass(frozen=True)
class Route:
    """A way in which something stored becomes a model.

    Attributes:
        name: How a case names it.
        make: Writes honest things into a folder, each a file or a folder.
        change: Writes a changed copy of one of them.
        load: Loads one; returns what it became.
        share: How many cases it gets in a long run, beside the others.
    """

    name: str
    make: Callable[[Path], None]
    change: Callable[[Path, Path, random.Random], None]
    load: Callable[[Path, random.Random], Any]
    share: int = 1

    def sources(self, honest: Path) -> list[Path]:
        """Returns the honest things of the route, in an order that does not change."""
        return sorted((honest / self.name).iterdir())


def write_json(path: Path, tree: Any) -> None:
    """Writes a tree, however odd its numbers and texts are."""
    path.write_text(json.dumps(tree), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads a tree.

    Raises:
        UnreadableError: If it is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(str(error)[:200]) from error


def changed_json(text: str, rng: random.Random, change: Callable[..., Any] = change_tree) -> str:
    """Returns a changed JSON text: of a changed tree, mostly."""
    kind = rng.random()
    if kind < 0.02:
        return "[" * rng.choice([500, 100_000]) + text
    try:
        tree = json.loads(text) if kind >= 0.06 else None
    except (ValueError, RecursionError):  # an earlier change may have left no JSON
        tree = None
    if tree is None:
        return change_bytes(text.encode(), rng).decode(errors="replace")
    return json.dumps(change(tree, rng))


def change_json_file(
    source: Path, target: Path, rng: random.Random, change: Callable[..., Any] = change_tree
) -> None:
    """Writes a changed copy of a JSON file."""
    text = changed_json(source.read_text(encoding="utf-8"), rng, change)
    target.write_text(text, encoding="utf-8")
