"""A summary as HTML, for notebooks: tables that fold, in the colours of the page."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable, Iterator, Sequence

from flaxlayer.summaries.layer_summary import LayerSummary
from flaxlayer.summaries.summary_text import (
    NOT_BUILT,
    cells_of,
    count_text,
    left_out_text,
    size_text,
)
from flaxlayer.summaries.variable_rows import Row, Rows
from flaxlayer_core import list_some

__all__ = ["html_page"]

_HEADS = ("Variable", "Shape", "Dtype", "Count", "Size", "Role")
_NUMBERS = {3, 4}
_OPEN_ROWS = 40
_LONGEST = 1000
_LEFT = "text-align:left;padding:0 0.6em"
_RIGHT = "text-align:right;padding:0 0.6em"


def html_page(summary: LayerSummary, rows: Rows) -> str:
    """Returns a summary as a piece of HTML, without scripts and without colours of its own.

    Args:
        summary: What is to be said.
        rows: The rows of its tables, one for each collection.
    """
    return "".join(_parts(summary, rows))


def _parts(summary: LayerSummary, rows: Rows) -> Iterator[str]:
    yield '<div class="flaxlayer-summary"><p style="margin:0.3em 0">'
    yield f"<strong>{_safe(summary.title)}</strong></p>"
    yield '<table style="margin:0"><tbody>'
    for what, text in summary.facts.items():
        yield f"<tr>{_cell(what, 'text-align:left;opacity:0.7')}{_cell(text, _LEFT)}</tr>"
    yield "</tbody></table>"
    if not summary.entries:
        yield f"<p>{_safe('It has no variables.' if summary.built else NOT_BUILT)}</p>"
    for head, below in _collections(rows.shown):
        yield from _collection(head, below, few=len(rows.shown) <= _OPEN_ROWS)
    if rows.left_out:
        yield f"<p>{_safe(left_out_text(rows))}</p>"
    totals = (
        f"{mark.capitalize()}: <strong>{count:,}</strong> ({size_text(size)})"
        for mark, (count, size) in summary.totals().items()
    )
    yield f"<p>{' · '.join(totals)}</p></div>"


def _collections(rows: Sequence[Row]) -> Iterator[tuple[Row, Sequence[Row]]]:
    heads = [place for place, row in enumerate(rows) if row.level == 0]
    for start, end in itertools.pairwise([*heads, len(rows)]):
        yield rows[start], rows[start + 1 : end]


def _collection(head: Row, below: Sequence[Row], *, few: bool) -> Iterator[str]:
    *_, count, size, role, _ = cells_of(head)
    said = ", ".join(filter(None, [count_text(head.variables, "variable"), size, role]))
    title = f"<code>{_safe(head.path[0])}</code> — {count} elements in {_safe(said)}"
    if not below:
        yield f"<p>{title}</p>"
        return
    yield f"<details{' open' if few else ''}><summary>{title}</summary>"
    divided = any(row.variable and row.variable.axes for row in below)
    yield "<table><thead><tr>"
    heads = (*_HEADS, "Divided along") if divided else _HEADS
    yield "".join(f'<th style="{_aligned(place)}">{name}</th>' for place, name in enumerate(heads))
    yield "</tr></thead><tbody>"
    for row in below:
        cells = cells_of(row)[: len(heads) - 1]
        yield f"<tr>{_name(row)}{''.join(_cells(cells))}</tr>"
    yield "</tbody></table></details>"


def _name(row: Row) -> str:
    # Deeper ones are not moved further: a table has a width.
    indent = 1.2 * (min(row.level, 12) - 1)
    text = _safe(row.path[-1])
    named = text if row.variable else f"<strong>{text}</strong>"
    return f'<td style="{_LEFT};padding-left:{indent + 0.5:.1f}em">{named}</td>'


def _cells(cells: Iterable[str]) -> Iterator[str]:
    for place, cell in enumerate(cells, start=1):
        yield _cell(cell, _aligned(place))


def _aligned(place: int) -> str:
    return _RIGHT if place in _NUMBERS else _LEFT


def _cell(text: str, style: str) -> str:
    return f'<td style="{style}">{_safe(text)}</td>'


def _safe(text: str) -> str:
    printable = list_some([text], "", most=1, longest=_LONGEST)
    return html.escape(printable.encode("utf-8", "backslashreplace").decode("utf-8"))
