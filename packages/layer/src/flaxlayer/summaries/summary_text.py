"""A summary as text: lines of pieces, which a terminal may colour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flaxlayer.summaries.layer_summary import LayerSummary
from flaxlayer.summaries.variable_rows import Row, Rows, VariableEntry
from flaxlayer_core import list_some

__all__ = [
    "NOT_BUILT",
    "Piece",
    "cells_of",
    "count_text",
    "left_out_text",
    "size_text",
    "text_lines",
]

NOT_BUILT = "Not built yet: call it on data, or layer.build_on(...) with what describes them."

_LONGEST_NAME = 60
_GAP = "  "
_GUIDES = {True: ("├─ ", "│  "), False: ("└─ ", "   ")}
_ASCII = str.maketrans({"├": "+", "└": "+", "│": "|", "─": "-", "…": "~"})
_HEADS = ("variable", "shape", "dtype", "count", "size", "role", "divided along")
_RIGHT = {3, 4}


@dataclass(frozen=True)
class Piece:
    """A part of a line.

    Attributes:
        text: What is read.
        style: What it is: `title`, `fact`, `guide`, `head`, or a mark of variables.
    """

    text: str
    style: str = ""


Line = list[Piece]


def size_text(size: int) -> str:
    """Returns bytes as Keras writes them.

    Example:

    ```python
    >>> size_text(5 * 1024)
    '5.00 KB'

    ```
    """
    if size < 1024:
        return f"{size:,} B"
    units = ("KB", "MB", "GB", "TB", "PB")
    power = min(int(math.log2(size)) // 10, len(units))
    return f"{size / 1024**power:,.2f} {units[power - 1]}"


def cells_of(row: Row) -> tuple[str, ...]:
    """Returns what a row says beside its name, in the order of the columns."""
    variable = row.variable
    shape, dtype, axes = ("", "", "") if variable is None else _form(variable)
    if variable is None and row.hidden:
        shape = count_text(row.variables, "variable")
    marks = sorted(row.marks)
    role = marks[0] if len(marks) == 1 else _mixed(row)
    return shape, dtype, f"{row.count:,}", size_text(row.size), role, axes


def _form(variable: VariableEntry) -> tuple[str, str, str]:
    axes = str(variable.axes) if variable.axes else ""
    return str(variable.shape), variable.dtype, axes


def _mixed(row: Row) -> str:
    # What is not as one expects is said; the rest stands in the rows below.
    return f"{row.marks['frozen']:,} of {row.variables:,} frozen" if row.marks["frozen"] else ""


def count_text(count: int, what: str) -> str:
    """Returns a number of things in words."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def left_out_text(rows: Rows) -> str:
    """Returns what is said below a table that was cut."""
    return f"… and {count_text(rows.left_out, 'more row')}; max_rows= and depth= show others"


def text_lines(
    summary: LayerSummary, rows: Rows, *, width: int, ascii_only: bool = False
) -> list[Line]:
    """Returns a summary as lines of a terminal.

    Args:
        summary: What is to be said.
        rows: The rows of the table.
        width: The characters of a line, where the table can be made so narrow.
        ascii_only: Whether the terminal writes no other characters.
    """
    lines = [[Piece(summary.title, "title")]]
    longest = max(map(len, summary.facts), default=0)
    lines += [[Piece(f"  {k:<{longest}}  ", "fact"), Piece(v)] for k, v in summary.facts.items()]
    if not summary.built and not summary.entries:
        lines.append([Piece(NOT_BUILT)])
    elif not summary.entries:
        lines.append([Piece("It has no variables.")])
    else:
        lines += [[], *_table(rows, width), *_total_lines(summary)]
    return [_only_ascii(line) for line in lines] if ascii_only else lines


def _only_ascii(line: Line) -> Line:
    kept = (piece.text.translate(_ASCII) for piece in line)
    texts = (text.encode("ascii", "backslashreplace").decode("ascii") for text in kept)
    return [Piece(text, piece.style) for text, piece in zip(texts, line, strict=True)]


def _table(rows: Rows, width: int) -> Iterator[Line]:
    texts = [cells_of(row) for row in rows.shown]
    heads = _HEADS if any(cells[-1] for cells in texts) else _HEADS[:-1]
    columns = list(zip(heads[1:], *texts, strict=False))
    widths = [max(map(len, column)) for column in columns]
    names = [_name(row) for row in rows.shown]
    room = width - sum(widths) - len(_GAP) * len(widths)
    broad = min(max(map(len, (heads[0], *names))), max(room, 24))
    yield [Piece(_joined(heads[0].ljust(broad), heads[1:], widths), "head")]
    for row, name, cells in zip(rows.shown, names, texts, strict=True):
        *_, mark = sorted(row.marks) if len(row.marks) == 1 else [""]
        shown = name if len(name) <= broad else f"…{name[len(name) - broad + 1 :]}"
        yield [
            Piece(shown.ljust(broad), "" if row.variable else "name"),
            Piece(_joined("", cells[: len(widths)], widths), mark),
        ]
    if rows.left_out:
        yield [Piece(left_out_text(rows))]


def _joined(first: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    placed = [
        cell.rjust(width) if place in _RIGHT else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=False), start=1)
    ]
    return _GAP.join([first, *placed]).rstrip()


def _name(row: Row) -> str:
    name = list_some([row.path[-1]], "", most=1, longest=_LONGEST_NAME)
    if not row.open_levels:
        return name
    *above, own = row.open_levels
    return "".join([*(_GUIDES[more][1] for more in above), _GUIDES[own][0], name])


def _total_lines(summary: LayerSummary) -> Iterator[Line]:
    yield []
    for mark, (count, size) in summary.totals().items():
        yield [Piece(f"{mark.capitalize()}: "), Piece(f"{count:,} ({size_text(size)})", mark)]
