"""One name, or several, where a user may give either (C2, R2)."""

import numpy as np
import pytest

from flaxlayer_core import as_names


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("params", ("params",)),
        ("", ("",)),
        ([], ()),
        (["a", "b"], ("a", "b")),
        (("a",), ("a",)),
        ((name for name in "ab"), ("a", "b")),
        (np.array(["a", "b"]), ("a", "b")),
        (None, None),
        (3, None),
        (["a", 3], None),
        ({"a": 1}, None),
        ({"b", "c", "a"}, ("a", "b", "c")),
        (frozenset({"a"}), ("a",)),
        ({"b": 1, "a": 2}.keys(), ("a", "b")),
        ({"a", 3}, None),
        (b"ab", None),
    ],
    ids=lambda value: f"{type(value).__name__}{len(str(value))}",
)
def test_names_are_read_and_nothing_else_is(given, names):
    assert as_names(given) == names
