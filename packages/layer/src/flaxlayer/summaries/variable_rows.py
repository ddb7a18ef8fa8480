"""The rows of a table of variables: a tree by path, cut to a bounded number of them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from flaxlayer_core import Path

__all__ = ["Mark", "Row", "Rows", "VariableEntry", "levels_with_room", "table_rows"]

Mark = str
"""What becomes of a variable: `trainable`, `frozen`, `state`, or `constant` in params."""


@dataclass(frozen=True)
class VariableEntry:
    """A variable, as a table shows it.

    Attributes:
        path: Names from the collection down.
        shape: Its shape.
        dtype: The dtype that it is stored in; of typed keys, their kind.
        count: The elements that are stored.
        size: Their bytes, of all devices together.
        mark: What becomes of it.
        axes: The axes of the mesh that its dimensions are divided along, empty where it is whole.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: str
    count: int
    size: int
    mark: Mark
    axes: tuple[object, ...] = ()


@dataclass
class Row:
    """A row of the table: a variable, or a name above some.

    Attributes:
        path: Names from the collection down.
        variable: The variable, None where the row stands for all that are below it.
        count: The elements of all of them.
        size: Their bytes.
        marks: How many variables there are of each mark.
        hidden: Whether rows below this one are not shown.
        open_levels: For each level above the row, whether more rows of that level follow; the last
            is its own.
    """

    path: Path
    variable: VariableEntry | None = None
    count: int = 0
    size: int = 0
    marks: Counter[Mark] = field(default_factory=Counter)
    hidden: bool = False
    open_levels: tuple[bool, ...] = ()

    @property
    def level(self) -> int:
        """How many names stand above it."""
        return len(self.path) - 1

    @property
    def variables(self) -> int:
        """How many variables it stands for."""
        return self.marks.total()

    def add(self, entry: VariableEntry) -> None:
        """Counts a variable."""
        self.count += entry.count
        self.size += entry.size
        self.marks[entry.mark] += 1


@dataclass(frozen=True)
class Rows:
    """The rows that are shown, and what is left out at their end.

    Attributes:
        shown: The rows, each below the one that it belongs to.
        left_out: How many more there would be of their levels.
    """

    shown: Sequence[Row]
    left_out: int


def table_rows(entries: Sequence[VariableEntry], *, depth: int | None, most: int) -> Rows:
    """Returns the rows of a table of variables.

    Args:
        entries: The variables, those below one name behind each other.
        depth: How many names of a path have rows; None for as many as there is room for.
        most: How many rows there may be. Where all names do not fit, those of the deepest levels
            have none; where those of the first level do not fit, the last have none.

    Example:

    ```python
    >>> entries = [
    ...     VariableEntry(("params", name, "kernel"), (2,), "float32", 2, 8, "trainable")
    ...     for name in ("Dense_0", "Dense_1")
    ... ]
    >>> ["/".join(row.path) for row in table_rows(entries, depth=None, most=4).shown]
    ['params', 'params/Dense_0', 'params/Dense_1']

    ```
    """
    new = [_new_levels(*pair) for pair in itertools.pairwise([None, *entries])]
    by_level = Counter(level for levels in new for level in levels)
    depth = levels_with_room(by_level, most) if depth is None else max(depth, 1)
    rows: list[Row] = []
    left_out = 0
    above: list[Row] = []
    for levels, entry in zip(new, entries, strict=True):
        shown = range(levels.start, min(levels.stop, depth))
        del above[levels.start :]
        for level in shown:
            row = Row(entry.path[: level + 1])
            above.append(row)
            if len(rows) < most:
                rows.append(row)
            else:
                left_out += 1
        for row in above:
            row.add(entry)
        if len(above) == len(entry.path):
            above[-1].variable = entry
        elif above:
            above[-1].hidden = True
    for row, levels_open in zip(reversed(rows), _open_levels(reversed(rows)), strict=True):
        row.open_levels = levels_open
    return Rows(rows, left_out)


def _new_levels(before: VariableEntry | None, entry: VariableEntry | None) -> range:
    """The levels of an entry whose names do not stand above the entry before it."""
    assert entry is not None
    known = () if before is None else before.path
    pairs = zip(known, entry.path[:-1], strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return range(shared, len(entry.path))


def levels_with_room(by_level: Counter[int], most: int) -> int:
    """Returns how many levels of a tree fit into a number of rows; the outermost always has some.

    Args:
        by_level: How many rows each level has, the outermost at 0.
        most: How many rows there may be.

    Example:

    ```python
    >>> levels_with_room(Counter({0: 2, 1: 3, 2: 9}), most=6)
    2

    ```
    """
    depth = rows = 0
    while by_level[depth] and (depth == 0 or rows + by_level[depth] <= most):
        rows += by_level[depth]
        depth += 1
    return depth


def _open_levels(backwards: Iterator[Row]) -> Iterator[tuple[bool, ...]]:
    following: set[int] = set()
    for row in backwards:
        yield tuple(level in following for level in range(1, row.level + 1))
        following = {level for level in following if level < row.level} | {row.level}
