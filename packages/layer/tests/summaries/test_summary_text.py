"""A summary as lines of text."""

import pytest

from flaxlayer.summaries.layer_summary import LayerSummary
from flaxlayer.summaries.printing import plain
from flaxlayer.summaries.summary_text import size_text, text_lines
from flaxlayer.summaries.variable_rows import VariableEntry, table_rows

ENTRIES = (
    VariableEntry(("params", "Dense_0", "bias"), (3,), "float32", 3, 12, "frozen"),
    VariableEntry(("params", "Dense_0", "kernel"), (4, 3), "bfloat16", 12, 24, "trainable"),
    VariableEntry(("cache", "key"), (), "key<fry>", 2, 8, "state"),
)


def text(entries=ENTRIES, *, width=80, depth=None, most=100, ascii_only=False, facts=None):
    summary = LayerSummary("FlaxLayer 'net'", facts or {"runs": "Net.__call__"}, entries, True)
    rows = table_rows(entries, depth=depth, most=most)
    return plain(text_lines(summary, rows, width=width, ascii_only=ascii_only))


TABLE = """\
FlaxLayer 'net'
  runs  Net.__call__

variable      shape   dtype     count  size  role
params                             15  36 B  1 of 2 frozen
└─ Dense_0                         15  36 B  1 of 2 frozen
   ├─ bias    (3,)    float32       3  12 B  frozen
   └─ kernel  (4, 3)  bfloat16     12  24 B  trainable
cache                               2   8 B  state
└─ key        ()      key<fry>      2   8 B  state

Total: 17 (44 B)
Frozen: 3 (12 B)
Trainable: 12 (24 B)
State: 2 (8 B)"""


def test_a_table_of_a_tree():
    assert text() == TABLE


def test_rows_that_stand_for_hidden_ones_say_how_many():
    assert "params    2 variables" in text(depth=1)
    assert "cache     1 variable " in text(depth=1)


def test_what_is_left_out_is_said():
    assert "… and 3 more rows; max_rows= and depth= show others" in text(depth=9, most=3)
    assert "more row" not in text()


def test_long_names_make_room_in_a_narrow_terminal():
    deep = tuple(f"level_{i}" for i in range(30))
    lines = text((VariableEntry((*deep, "kernel"), (1,), "float32", 1, 4, "state"),), width=60)
    row = next(line for line in lines.splitlines() if "kernel" in line)
    assert len(row) <= 60
    assert row.startswith("…")


def test_names_stay_in_their_line():
    hostile = "a\nb\x1b[31m" + "c" * 500
    shown = text((VariableEntry(("params", hostile), (1,), "float32", 1, 4, "state"),), width=200)
    assert "\x1b" not in shown
    assert "a\\nb\\x1b[31mccc" in shown
    assert max(map(len, shown.splitlines())) < 200


def test_axes_have_a_column_where_a_variable_is_divided():
    divided = VariableEntry(("params", "w"), (8,), "float32", 8, 32, "trainable", (None, "model"))
    assert "divided along" not in text()
    shown = text((*ENTRIES, divided))
    assert "(None, 'model')" in shown
    assert "divided along" in shown


@pytest.mark.parametrize("name", ["kernel", "größe", "\ud800"], ids=["ascii", "latin", "alone"])
def test_ascii_alone(name):
    shown = text(
        (VariableEntry(("params", name), (1,), "float32", 1, 4, "state"),), ascii_only=True
    )
    assert shown.isascii()
    assert "+- " in shown


def test_a_layer_without_variables():
    assert text(()).endswith("It has no variables.")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"),
        (1023, "1,023 B"),
        (1024, "1.00 KB"),
        (1536, "1.50 KB"),
        (1024**2, "1.00 MB"),
        (3 * 1024**3, "3.00 GB"),
        (2**70, "1,048,576.00 PB"),
    ],
    ids=str,
)
def test_sizes(size, expected):
    assert size_text(size) == expected
