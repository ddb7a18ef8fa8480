"""How parts of a spec are drawn."""

import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st

from flaxlayer_testing.generate.draw.drawer import Draw, once


@st.composite
def one_of(draw, values):
    return Draw(draw).one_of(values)


@pytest.mark.parametrize(
    ("values", "equal"),
    [((0, 1), (False, True)), (((0, 1), (1, 1)), ((False, True), (True, True)))],
    ids=["plain", "nested"],
)
def test_equal_values_of_other_types_stay_what_they_are(values, equal):
    for drawn in (values, equal, values):
        found = find(one_of(drawn), lambda value: True)
        assert repr(found) == repr(drawn[0])


@st.composite
def pairs(draw):
    # Two draws of one kind, each of many choices that mean few things.
    weighted = ("a",) * 20 + ("b",)
    return tuple(Draw(draw).one_of(weighted) for _ in range(4)), draw(st.integers(0, 2**32))


def repeats(strategy):
    seen = []

    @seed(0)
    @settings(
        max_examples=200,
        derandomize=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(value):
        seen.append(value)

    draw()
    return len(seen) - len(set(seen))


def test_an_example_is_seldom_made_of_the_one_before():
    # A few come about because Hypothesis likes small numbers.
    assert 2 * repeats(once(pairs())) < repeats(pairs())
