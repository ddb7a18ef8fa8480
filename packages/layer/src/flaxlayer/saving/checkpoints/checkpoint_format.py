"""What a file of this folder says of the format that it reads (W2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import jax

from flaxlayer.typing import PyTree

__all__ = ["Check", "CheckpointFormat", "Choose", "Fit", "NotOfFormatError"]

Choose: TypeAlias = Callable[[PyTree], dict[str, PyTree]]
"""Returns what is wanted of a tree; raises an error of ours where it is no tree of variables."""


@dataclass(frozen=True)
class Fit:
    """What the arrays of a checkpoint are for, where they fit.

    Attributes:
        bytes: How many those take that fit.
        shardings: How an array is divided among devices, by the identity of what describes it; the
            others are wanted whole (D3).
    """

    bytes: int = 0
    shardings: Mapping[int, jax.sharding.Sharding] = field(default_factory=dict)

    def sharding(self, described: jax.ShapeDtypeStruct) -> jax.sharding.Sharding | None:
        """Returns how an array is divided, None where it is wanted whole.

        Args:
            described: The very object that was checked.
        """
        return self.shardings.get(id(described))


Check: TypeAlias = Callable[[Mapping[str, PyTree]], Fit]
"""Gets specs of what is wanted; raises an error of ours where they do not fit."""


class NotOfFormatError(ValueError):
    """A path that a format takes for its own holds something else.

    Args:
        expected: What should be there.
        found: What is there.
    """

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(found)
        self.expected, self.found = expected, found


@dataclass(frozen=True)
class CheckpointFormat:
    """A format in which programs write variables.

    Attributes:
        writer: What writes it, for errors.
        contents: What a path of this format holds, for errors.
        extra: The extra of this package that brings its reader, "" where none is needed.
        claims: Tells whether a path that exists is for this format to read.
        read: Reads what is wanted of a path. A format that says first what its arrays are has them
            checked, where a check is given, before any is read. Whatever it raises is taken for a
            damaged file, but for an `ImportError`, errors of ours, and `NotOfFormatError`.
    """

    writer: str
    contents: str
    extra: str
    claims: Callable[[Path], bool]
    read: Callable[[Path, Choose, Check | None], dict[str, PyTree]]
