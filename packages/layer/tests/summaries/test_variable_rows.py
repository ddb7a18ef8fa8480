"""Rows of a table of variables, cut to what fits."""

import itertools

import hypothesis.strategies as st
from hypothesis import given, settings

from flaxlayer.summaries.variable_rows import VariableEntry, table_rows


def entry(path, mark="trainable", count=2):
    return VariableEntry(tuple(path.split("/")), (count,), "float32", count, 4 * count, mark)


NET = [
    entry("params/Dense_0/bias", "frozen"),
    entry("params/Dense_0/kernel"),
    entry("params/scale"),
    entry("batch_stats/mean", "state"),
]


def paths(rows):
    return ["/".join(row.path) for row in rows.shown]


def test_every_name_of_a_path_has_a_row():
    rows = table_rows(NET, depth=None, most=100)
    assert paths(rows) == [
        "params",
        "params/Dense_0",
        "params/Dense_0/bias",
        "params/Dense_0/kernel",
        "params/scale",
        "batch_stats",
        "batch_stats/mean",
    ]
    assert rows.left_out == 0
    assert [row.variable is None for row in rows.shown] == [True, True, *[False] * 3, True, False]


def test_a_row_stands_for_all_below_it():
    first, dense, *_ = table_rows(NET, depth=None, most=100).shown
    assert (first.variables, first.count, first.size) == (3, 6, 24)
    assert (dense.variables, dense.count, dense.size) == (2, 4, 16)
    assert first.marks == {"frozen": 1, "trainable": 2}


def test_a_depth_hides_what_is_deeper():
    rows = table_rows(NET, depth=1, most=100)
    assert paths(rows) == ["params", "batch_stats"]
    assert [row.hidden for row in rows.shown] == [True, True]
    assert rows.shown[0].count == 6
    rows = table_rows(NET, depth=2, most=100)
    assert [row.hidden for row in rows.shown] == [False, True, False, False, False]


def test_the_deepest_levels_are_hidden_where_they_do_not_fit():
    assert paths(table_rows(NET, depth=None, most=7))[2] == "params/Dense_0/bias"
    assert len(table_rows(NET, depth=None, most=6).shown) == 5
    assert paths(table_rows(NET, depth=None, most=4)) == ["params", "batch_stats"]


def test_the_last_rows_are_left_out_where_a_chosen_depth_does_not_fit():
    rows = table_rows(NET, depth=9, most=3)
    assert paths(rows) == ["params", "params/Dense_0", "params/Dense_0/bias"]
    assert rows.left_out == 4
    assert rows.shown[0].count == 6
    assert len(table_rows(NET, depth=None, most=1).shown) == 1


def test_guides_stay_open_while_rows_of_a_level_follow():
    rows = table_rows(NET, depth=None, most=100)
    assert [row.open_levels for row in rows.shown] == [
        (),
        (True,),
        (True, True),
        (True, False),
        (False,),
        (),
        (False,),
    ]


def test_no_variables_have_no_rows():
    assert table_rows([], depth=None, most=10).shown == []


NAMES = st.sampled_from("abc")
TREES = st.recursive(
    st.none(), lambda below: st.dictionaries(NAMES, below, min_size=1), max_leaves=12
).filter(bool)


def leaves(tree, path=()):
    if tree is None:
        return [path]
    return [leaf for name in sorted(tree) for leaf in leaves(tree[name], (*path, name))]


@settings(max_examples=60)
@given(TREES, st.none() | st.integers(1, 5), st.integers(1, 12))
def test_rows_are_the_beginnings_of_paths_in_their_order(tree, depth, most):
    entries = [entry("/".join(path)) for path in leaves(tree)]
    rows = table_rows(entries, depth=depth, most=most)
    prefixes = [e.path[:n] for e in entries for n in range(1, len(e.path) + 1)]
    every = list(dict.fromkeys(prefixes))
    levels = [len(path) for path in every]
    if depth is None:
        sums = itertools.accumulate(levels.count(n) for n in range(1, max(levels) + 1))
        depth = max(1, sum(1 for total in sums if total <= most))
    expected = [path for path in every if len(path) <= depth]
    assert [row.path for row in rows.shown] == expected[:most]
    assert rows.left_out == len(expected[most:])
    for row in rows.shown:
        below = [e for e in entries if e.path[: len(row.path)] == row.path]
        assert (row.variables, row.count) == (len(below), 2 * len(below))
