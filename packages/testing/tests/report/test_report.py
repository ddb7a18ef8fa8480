"""A report in a terminal: names stay whole, and nothing is said of what is not there."""

import io

import pytest
from rich.console import Console

from flaxlayer_testing import Entry, Report, Status, checks

LONGEST = max((one.name for one in checks(slow=True)), key=len)


def shown(columns, **versions):
    """What a terminal of some columns shows of a report."""
    skipped = Entry("check_sown", ("C7",), Status.SKIPPED, "the module sows nothing " * 5)
    passed = Entry(LONGEST, ("A1", "A5", "A6"), Status.PASSED, errors={"float32": 1.25e-7})
    report = Report("Net(float32[8,12])", "flaxlayer:FlaxLayer", (skipped, passed), versions)
    console = Console(file=io.StringIO(), width=columns, color_system=None)
    console.print(report)
    return console.file.getvalue()


@pytest.mark.law("T8")
@pytest.mark.parametrize("columns", [80, 100, 200])
def test_the_name_of_a_check_stands_in_one_line(columns):
    text = shown(columns)
    assert LONGEST in text
    assert "float32 1.25e-07" in text
    assert all(len(line) <= columns for line in text.splitlines())


@pytest.mark.law("T8")
def test_a_commit_is_shown_where_there_is_one():
    assert "flaxlayer 0.1.0, commit abc" in shown(100, flaxlayer="0.1.0", commit="abc")
    without = shown(100, flaxlayer="0.1.0", commit="none")
    assert "flaxlayer 0.1.0" in without
    assert "commit" not in without
