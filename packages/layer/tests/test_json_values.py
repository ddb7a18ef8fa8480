"""Plain values of a configuration: of their type exactly, and within bounds (S3)."""

import json

import pytest

from flaxlayer import json_values as kinds

pytestmark = pytest.mark.law("S3")

LONG = "a" * 1025
VALUES = [None, True, 0, 1, 2**32 - 1, 2**32, -1, 1.5, "", "ab", "a/b", LONG[1:], LONG]
VALUES += [[], ["ab"], ("ab", "cd"), ["ab", 1], [LONG], ["a"] * 10_000, ["a"] * 10_001]
VALUES += [{}, {"a": "b"}, {"a": 1}, {1: "a"}, {"a": LONG}, {LONG: "a"}]
ACCEPTED = {
    "TEXT": ["", "ab", "a/b", LONG[1:]],
    "NAME": ["", "ab", LONG[1:]],
    "NAMES": [[], ["ab"], ("ab", "cd"), ["a"] * 10_000],
    "FLAG": [True],
    "SEED": [0, 1, 2**32 - 1],
    "TEXTS_BY_NAME": [{}, {"a": "b"}],
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_kind_accepts_its_values_and_no_other(name):
    kind = getattr(kinds, name)
    assert [value for value in VALUES if kind.accepts(value)] == ACCEPTED[name]
    for value in ACCEPTED[name]:
        again = json.loads(json.dumps(value))
        assert kind.accepts(again)


def test_an_object_of_very_many_names_is_none():
    many = {str(index): "a" for index in range(10_001)}
    assert not kinds.TEXTS_BY_NAME.accepts(many)
    many.pop("0")
    assert kinds.TEXTS_BY_NAME.accepts(many)


@pytest.mark.parametrize(("told", "expected"), [("", "a short string or null"), ("any", "any")])
def test_none_is_accepted_where_it_is_said(told, expected):
    kind = kinds.TEXT.or_none(told)
    assert kind.accepts(None) and kind.accepts("a")
    assert not kind.accepts(1)
    assert not kinds.TEXT.accepts(None)
    assert kind.expected == expected


def test_of_some_texts_one_or_at_least_one_is_asked_for():
    one, some = kinds.one_of(("a", "b")), kinds.some_of(["a", "b"])
    assert [v for v in ("a", "b", "c", "", None, ["a"], 1) if one.accepts(v)] == ["a", "b"]
    lists = [[], ["a"], ["b", "a"], ["a", "c"], "a", None, ["a", 1], [["a"]]]
    assert [value for value in lists if some.accepts(value)] == [["a"], ["b", "a"]]
    assert "'a'" in one.expected and "'a'" in some.expected
