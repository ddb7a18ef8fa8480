"""Numbers come back exactly (S1)."""

import math

import pytest


@pytest.mark.parametrize(
    "number", [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, complex(-0.0, math.nan)]
)
def test_a_float_keeps_its_sign_and_its_infinity(number, trip_value, same):
    assert same(trip_value(number), number)


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**1000, True, 0])
def test_an_integer_of_any_size_is_exact(number, trip_value):
    assert trip_value(number) == number
    assert type(trip_value(number)) is type(number)
