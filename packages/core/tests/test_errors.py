"""Every explained error: one tree, one message order, nothing lost in a pickle."""

import builtins
import inspect
import pickle
import re

import pytest

from flaxlayer_core import errors
from flaxlayer_core.errors import FlaxLayerError, StateStructureError

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]
EXPLAINED = [cls for cls in CLASSES if cls is not FlaxLayerError]
PARTS = {"expected": "an axe", "found": "a fish", "fix": "Bring an axe.", "law": "C4"}


def test_a_message_gives_failure_expected_found_fix_and_law_one_a_line():
    error = StateStructureError("Layer 'cnn' cannot be stored.", **PARTS)
    assert str(error).splitlines() == [
        "Layer 'cnn' cannot be stored.",
        "Expected: an axe",
        "Found: a fish",
        "Fix: Bring an axe.",
        "Law: C4",
    ]


def test_the_order_of_the_keywords_does_not_change_the_message():
    backwards = dict(reversed(PARTS.items()))
    assert str(FlaxLayerError("No.", **backwards)) == str(FlaxLayerError("No.", **PARTS))


@pytest.mark.parametrize("missing", PARTS)
def test_a_part_that_is_not_given_has_no_line(missing):
    given = {name: text for name, text in PARTS.items() if name != missing}
    lines = str(FlaxLayerError("No.", **given)).splitlines()
    assert [line.partition(": ")[2] for line in lines[1:]] == list(given.values())


def test_the_failure_alone_is_a_whole_message():
    assert str(FlaxLayerError("No.")) == "No."


def test_the_parts_stay_readable_on_the_error():
    error = FlaxLayerError("No.", **PARTS)
    assert error.failed == "No."
    assert {name: getattr(error, name) for name in PARTS} == PARTS


def test_all_lists_every_class_sorted():
    assert errors.__all__ == sorted(cls.__name__ for cls in CLASSES)


@pytest.mark.parametrize("cls", EXPLAINED)
def test_an_explained_error_is_a_flaxlayer_error_and_one_built_in(cls):
    own, builtin = cls.__bases__
    assert own is FlaxLayerError or own in EXPLAINED  # a case of another one
    assert getattr(builtins, builtin.__name__) is builtin
    assert issubclass(builtin, Exception)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_pickling_whole(cls):
    error = cls("No.", **PARTS)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_the_tree_in_the_docstring_names_each_class_with_its_built_in_base():
    drawn = re.findall(r"^(?:[├└]── )?(\w+Error)\((\w+)\)", errors.__doc__, flags=re.MULTILINE)
    assert dict(drawn) == {cls.__name__: cls.__bases__[-1].__name__ for cls in CLASSES}
    assert len(drawn) == len(CLASSES)


@pytest.mark.law("S6")
def test_what_steers_a_terminal_or_cannot_be_encoded_stands_as_an_escape():
    error = FlaxLayerError("a\x1b[2J", expected="b\x07", found="c\ud800\nd\té", fix="e\u202e")
    assert str(error).splitlines() == [
        "a\\x1b[2J",
        "Expected: b\\x07",
        "Found: c\\ud800",
        "d\té",
        "Fix: e\\u202e",
    ]
    assert (error.failed, error.fix) == ("a\\x1b[2J", "e\\u202e")
    str(error).encode()


@pytest.mark.law("S6")
@pytest.mark.parametrize("long", ["failed", "expected", "found", "fix"])
def test_a_message_is_bounded_and_says_what_was_cut(long):
    parts = dict.fromkeys(("failed", "expected", "found", "fix"), "short") | {long: "x" * 10**6}
    error = FlaxLayerError(parts.pop("failed"), **parts, law="S6")
    assert len(str(error)) <= errors._LONGEST
    assert str(error).count("short") == 3
    assert "1,000,000 characters" in getattr(error, long)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.law("S6")
def test_parts_that_are_long_together_are_cut_alike():
    error = FlaxLayerError("a" * 6_000, expected="b" * 6_000, found="c" * 100, law="S6")
    assert len(str(error)) <= errors._LONGEST
    assert error.found == "c" * 100
    assert len(error.failed) == len(error.expected)


def test_a_message_within_the_bound_is_whole():
    names = ", ".join(f"package.module_{number}:Class" for number in range(120))
    assert FlaxLayerError("short", fix=names).fix == names
