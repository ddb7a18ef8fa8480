"""A summary as HTML."""

from html.parser import HTMLParser

import pytest

from flaxlayer.summaries.layer_summary import LayerSummary
from flaxlayer.summaries.summary_html import html_page
from flaxlayer.summaries.variable_rows import VariableEntry, table_rows

NAMES = ["Dense_0", "<script>alert(1)</script>", "a&b\"'", "line\nbreak", "\ud800", "x" * 5000]


class Page(HTMLParser):
    """Collects the cells of a page, and sees that each tag is closed in its turn."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.cells = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append(tag)
        if tag in ("td", "th", "summary"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th", "summary"} & set(self.open):
            self.cells[-1] += data


def page(entries, **options):
    summary = LayerSummary("FlaxLayer 'net'", {"runs": "<lambda>"}, tuple(entries), bool(entries))
    rows = table_rows(entries, **{"depth": None, "most": 100, **options})
    text = html_page(summary, rows)
    text.encode("utf-8")
    return Page(text)


def entry(*path, **options):
    return VariableEntry(path, (3,), "float32", 3, 12, "trainable", **options)


def test_each_collection_is_a_table_that_folds():
    found = page([entry("params", "Dense_0", "bias"), entry("cache", "x")])
    assert found.tags.count("details") == 2
    assert "params — 3 elements in 1 variable, 12 B, trainable" in found.cells
    at = found.cells.index("bias")
    assert found.cells[at : at + 6] == ["bias", "(3,)", "float32", "3", "12 B", "trainable"]
    assert found.cells[1] == "<lambda>"


@pytest.mark.parametrize("name", NAMES, ids=["plain", "tag", "quotes", "lines", "alone", "long"])
def test_names_are_text(name):
    found = page([entry("params", name), entry(name)])
    assert "script" not in found.tags
    assert all(len(cell) < 1200 for cell in found.cells)


def test_axes_have_a_column():
    assert "('model',)" in page([entry("params", "w", axes=("model",))]).cells
    assert "Divided along" not in page([entry("params", "w")]).cells


def test_a_page_is_bounded():
    entries = [entry("params", f"w{i:05}") for i in range(20_000)]
    found = page(entries, depth=9)
    assert len(found.cells) < 1000
    assert "20,000 variables" in found.cells[2]


def test_a_layer_that_is_not_built():
    assert "p" in page([]).tags
