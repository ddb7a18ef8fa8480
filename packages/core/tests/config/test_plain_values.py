"""Values that are their own JSON form are told from those that are not (S1)."""

import json
import math

import numpy as np
import pytest

from flaxlayer_core.config.plain_values import is_plain


@pytest.mark.law("S1")
@pytest.mark.parametrize(
    "value", [None, True, "text", 0, -3, 2**63 - 1, -(2**63) + 1, 0.5, -0.0, 1e308]
)
def test_a_plain_value_comes_back_from_json_as_it_was(value):
    assert is_plain(value)
    again = json.loads(json.dumps(value))
    assert (type(again), again) == (type(value), value)


@pytest.mark.law("S1")
@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63),
        math.inf,
        -math.inf,
        math.nan,
        1j,
        b"",
        (),
        [],
        {},
        np.float64(1),
        np.bool_(1),
    ],
    ids=repr,
)
def test_what_json_would_lose_or_change_is_not_plain(value):
    assert not is_plain(value)


@pytest.mark.law("S1")
def test_a_subclass_of_a_plain_class_is_not_plain():
    subclasses = [type("Own", (kind,), {}) for kind in (int, float, str)]
    assert not any(is_plain(cls()) for cls in subclasses)
