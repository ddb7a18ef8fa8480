"""Patterns that select variables by their paths (C5, W1, S3)."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxlayer_core import MatchPathPatternError, format_path, match_paths

TREE = [
    ("params", "encoder", "Dense_0", "kernel"),
    ("params", "encoder", "Dense_0", "bias"),
    ("params", "encoder", "Dense_10", "bias"),
    ("params", "head", "kernel"),
    ("params", "head/2", "kernel"),
    ("batch_stats", "encoder", "mean"),
]


def select(*patterns):
    return {format_path(path) for path in match_paths(patterns, TREE)}


@pytest.mark.law("C5")
@pytest.mark.parametrize(
    ("pattern", "selected"),
    [
        ("params/head/kernel", {"params/head/kernel"}),
        ("params/head", {"params/head/kernel"}),
        ("params/head/", {"params/head/kernel"}),
        ("params/head/**", {"params/head/kernel"}),
        ("params/head%2F2", {"params/head%2F2/kernel"}),
        ("params/*/kernel", {"params/head/kernel", "params/head%2F2/kernel"}),
        (
            "**/kernel",
            {
                "params/encoder/Dense_0/kernel",
                "params/head/kernel",
                "params/head%2F2/kernel",
            },
        ),
        ("params/encoder/Dense_?/bias", {"params/encoder/Dense_0/bias"}),
        ("**/Dense_*/bias", {"params/encoder/Dense_0/bias", "params/encoder/Dense_10/bias"}),
        ("params/**/Dense_0/bias", {"params/encoder/Dense_0/bias"}),
        ("*/encoder/mean", {"batch_stats/encoder/mean"}),
        ("**", {format_path(path) for path in TREE}),
    ],
)
def test_a_pattern_selects(pattern, selected):
    assert select(pattern) == selected


@pytest.mark.law("C5")
def test_two_stars_match_no_name_at_all_too():
    assert match_paths(["params/**/kernel"], [("params", "kernel")]) == {("params", "kernel")}


@pytest.mark.law("C5")
def test_several_patterns_select_what_any_of_them_does():
    assert select("params/head/kernel", "batch_stats") == {
        "params/head/kernel",
        "batch_stats/encoder/mean",
    }


@pytest.mark.law("C5")
@pytest.mark.parametrize(
    "pattern", ["head", "params/encoder/Dense_0/ker", "arams/**", "params/hea", "params.head", ""]
)
def test_a_pattern_matches_whole_names_from_the_collection_on(pattern):
    with pytest.raises(MatchPathPatternError):
        select(pattern)


@pytest.mark.law("C5")
def test_a_pattern_that_selects_nothing_is_explained():
    with pytest.raises(MatchPathPatternError) as caught:
        match_paths(["params/**", "b/**"], [("params", "b"), ("params", "a")], title="Layer 'x'")
    assert str(caught.value).splitlines() == [
        "Layer 'x' has no variable that matches 'b/**'.",
        "Expected: a pattern of one of: params/a, params/b",
        "Found: 'b/**'",
        "Fix: Correct the pattern; * matches within a name, ** across names.",
        "Law: C5",
    ]


@pytest.mark.law("C5")
def test_no_patterns_select_nothing():
    assert select() == set()


def by_definition(pattern, path):
    """Whether a pattern selects a path, tried at every place."""

    def name_matches(part, name):
        if not part:
            return not name
        if part[0] == "*":
            return any(name_matches(part[1:], name[start:]) for start in range(len(name) + 1))
        return bool(name) and part[0] in ("?", name[0]) and name_matches(part[1:], name[1:])

    def matches(parts, names):
        if not parts:
            return True  # of an inner node, everything below
        if parts == ["**"]:
            return bool(names)
        if parts[0] == "**":
            return any(matches(parts[1:], names[start:]) for start in range(len(names) + 1))
        return bool(names) and name_matches(parts[0], names[0]) and matches(parts[1:], names[1:])

    return matches(pattern.split("/"), list(path))


names = st.text(alphabet="ab.", min_size=1, max_size=5)
pieces = st.text(alphabet="ab.*?", min_size=1, max_size=6) | st.just("**")


@pytest.mark.law("C5")
@settings(deadline=None, max_examples=500)
@given(
    st.lists(st.lists(names, min_size=1, max_size=5).map(tuple), min_size=1, max_size=6),
    st.lists(pieces, min_size=1, max_size=6).map("/".join),
)
def test_a_pattern_selects_what_it_means_at_any_place(paths, pattern):
    expected = {path for path in paths if by_definition(pattern, path)}
    try:
        found = match_paths([pattern], paths)
    except MatchPathPatternError:
        found = set()
    assert found == expected


ENDLESS = {
    "stars": ("*a" * 200 + "b", ["a" * 5_000]),
    "any one and any": ("?*" * 200 + "b", ["a" * 5_000]),
    "one row of stars": ("*" * 200_000 + "b", ["a" * 5_000]),
    "names": ("/".join(["**", "a"] * 200) + "/b", ["a"] * 1_000),
    "any names": ("/".join(["**", "*"] * 200) + "/b", ["a"] * 1_000),
    "one row of any": ("**/" * 50_000 + "b", ["a"] * 1_000),
}
"""Patterns that match nothing, which to go back in would take without end to find out."""


@pytest.mark.law("S3")
def test_a_pattern_never_goes_back(within_limits):
    code = (
        "from flaxlayer_core import MatchPathPatternError, match_paths\n"
        f"for name, (pattern, names) in {ENDLESS!r}.items():\n"
        "    try:\n"
        "        match_paths([pattern], [tuple(names)])\n"
        "    except MatchPathPatternError as error:\n"
        "        print(name, len(str(error)), sep=':')\n"
    )
    lengths = dict(line.split(":") for line in within_limits(code).splitlines())
    assert lengths.keys() == ENDLESS.keys()
    assert all(0 < int(length) < 2_000 for length in lengths.values())


@pytest.mark.law("S3")
def test_patterns_without_wildcards_are_looked_up_and_not_compared(monkeypatch):
    paths = [("params", f"Dense_{index}", "kernel") for index in range(30_000)]
    monkeypatch.setattr(re, "compile", None)
    assert match_paths([format_path(path) for path in paths], paths) == set(paths)


@pytest.mark.law("S3")
def test_patterns_that_would_take_long_together_are_refused():
    paths = [("params", f"Dense_{index}", "kernel") for index in range(1_000)]
    few, many = ([f"**/*_{index}/k*" for index in range(count)] for count in (100, 50_000))
    assert len(match_paths(few, paths)) == 100
    with pytest.raises(MatchPathPatternError, match="too many path patterns") as caught:
        match_paths(many, paths)
    assert caught.value.law == "S3"


@pytest.mark.law("S3")
def test_an_error_lists_a_bounded_number_of_paths():
    paths = [("params", f"Dense_{index}", "k" * 10_000) for index in range(1_000)]
    with pytest.raises(MatchPathPatternError, match="and 950 more") as caught:
        match_paths(["b" * 100_000], paths)
    assert len(str(caught.value)) < 8_500
