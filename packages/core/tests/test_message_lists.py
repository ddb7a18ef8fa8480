"""Lists in error messages: bounded, and each text within one line."""

import pytest

from flaxlayer_core.message_lists import in_a_line, list_some


@pytest.mark.law("S6")
@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a; b"),
        (["a", "b", "c"], "a; b; and 1 more"),
        (["a"] * 2_000, "a; a; and 1,998 more"),
        (["abcdef", "g\n\x1b"], "abcd...; g\\n\\x1b"),
        ((each for each in "ab"), "a; b"),
    ],
    ids=["none", "one", "all", "some", "many", "long and with controls", "iterator"],
)
def test_a_list_has_the_first_texts_and_the_number_of_the_others(texts, expected):
    assert list_some(texts, "; ", most=2, longest=4) == expected


def test_a_text_that_can_be_printed_stands_as_it_is():
    assert in_a_line("params/ä'\\kernel", 100) == "params/ä'\\kernel"
