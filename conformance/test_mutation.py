"""Systematic changes of a source, which the mutation run is made of (T11)."""

import ast

import pytest

from conformance.mutants.tools.mutation import Site, sample, share
from conformance.mutants.tools.operators import Change, changes
from conformance.mutants.tools.reached import Reached

CHANGED = [
    ("if a:\n    b()\n", "negate a condition", "if (not (a)):\n    b()\n"),
    ("a if b else c\n", "negate a condition", "a if (not (b)) else c\n"),
    ("[a for a in b if c]\n", "drop a condition", "[a for a in b if True]\n"),
    ("f(a, b=c)\n", "drop a statement", "pass\n"),
    ("a.b = c\n", "drop a statement", "pass\n"),
    ("a += 1\n", "drop a statement", "pass\n"),
    ("raise A('b')\n", "drop a refusal", "pass\n"),
    ("def f():\n    return a\n", "return nothing", "def f():\n    return None\n"),
    ("a == b\n", "swap a comparison", "(a != b)\n"),
    ("a < b < c\n", "swap a comparison", "(a <= b < c)\n"),
    ("a and b\n", "swap and with or", "(a or b)\n"),
    ("a and b\n", "drop a condition", "(b)\n"),
    ("not a\n", "drop a not", "(a)\n"),
    ("a + b\n", "swap an operator", "(a - b)\n"),
    ("a = True\n", "change a constant", "a = False\n"),
    ("a = 3\n", "change a constant", "a = 4\n"),
    ("a = f(b, c=d)\n", "drop a keyword", "a = (f(b))\n"),
    ("a = f(b)\n", "drop a call", "a = (b)\n"),
    ("a = 'ä' if b else c\n", "negate a condition", "a = 'ä' if (not (b)) else c\n"),
]


@pytest.mark.law("T11")
@pytest.mark.parametrize(("source", "operator", "changed"), CHANGED, ids=lambda part: repr(part))
def test_each_operator_changes_one_place(source, operator, changed):
    found = [change for change in changes(source) if change.operator == operator]
    assert changed in [change.apply(source) for change in found]


@pytest.mark.parametrize(
    "source",
    [
        '"""Words."""\n',
        '__all__ = ["a"]\n',
        "a: int\n",
        "def f() -> AnyError:\n    return AnyError(3 + a, b=True)\n",
        "assert a == 3\n",
        "import a\n",
        "f'{a + b}'\n",
    ],
    ids=["docstring", "all", "annotation", "makes an error", "assert", "import", "text"],
)
def test_what_is_for_people_is_left_alone(source):
    assert [change for change in changes(source) if change.operator != "drop a statement"] == []


def test_what_is_raised_is_dropped_as_a_whole_or_left_alone():
    assert [change.new for change in changes("raise A('b', c=1 + 2)\n")] == ["pass"]


@pytest.mark.law("T11")
def test_every_change_in_a_sample_of_both_packages_compiles():
    sites = sample(1, 150)
    assert {site.file.partition("/")[0] for site in sites} == {"flaxlayer", "flaxlayer_core"}
    for site in sites:
        source = site.path.read_text(encoding="utf-8")
        changed = site.change.apply(source)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


def test_a_sample_is_drawn_by_its_seed_and_a_smaller_one_begins_it():
    assert sample(3, 5) == sample(3, 20)[:5]
    assert sample(3, 5) != sample(4, 5)


def test_a_change_keeps_its_name_where_its_line_moves(tmp_path, monkeypatch):
    file = tmp_path / "flaxlayer" / "some.py"
    file.parent.mkdir()
    monkeypatch.setitem(Site.path.fget.__globals__["SOURCES"], "flaxlayer", tmp_path)
    names = []
    for text in ("a = 3\n", "b = c\n\na = 3\n"):
        file.write_text(text)
        change = next(each for each in changes(text) if each.operator == "change a constant")
        names.append(Site("flaxlayer/some.py", change).name)
    assert names[0] == names[1]


def test_the_share_counts_what_is_not_reached_as_not_killed():
    found = {str(i): {"status": status} for i, status in enumerate(["killed"] * 3 + ["survived"])}
    assert share(found)["killed of run"] == share(found)["killed of all"] == 0.75
    found["more"] = {"status": "not reached"}
    assert share(found)["killed of all"] == 0.6
    assert share({})["killed of run"] is None


def test_the_lines_that_run_are_those_of_the_product():
    from flaxlayer_core import parse_path

    with Reached() as reached:
        parse_path("params/kernel")
    assert set(reached.lines) == {"flaxlayer_core/trees/paths.py"}
    change = Change(min(reached.lines["flaxlayer_core/trees/paths.py"]), "", 0, 0, "", "")
    line = Site("flaxlayer_core/trees/paths.py", change).path.read_text().splitlines()
    assert "def parse_path" in line[change.line - 1]
