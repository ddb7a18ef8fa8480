"""Trees of variables compared with what is expected, put into it, and filled up (B4)."""

import numpy as np
import pytest

from flaxlayer_core import (
    MatchVariablesError,
    match_variables,
)

pytestmark = pytest.mark.law("B4")


def test_a_leaf_that_stands_where_the_module_has_a_tree_is_unknown():
    with pytest.raises(MatchVariablesError, match="params/Dense_0: unknown"):
        match_variables({"params": {"Dense_0": {"bias": np.ones(1)}}}, {"params": {"Dense_0": 1.0}})


def test_a_tree_that_stands_where_the_module_has_a_leaf_is_unknown():
    with pytest.raises(MatchVariablesError, match="params/bias/value: unknown"):
        match_variables(
            {"params": {"bias": np.ones(1)}}, {"params": {"bias": {"value": {"value": np.ones(1)}}}}
        )


def test_a_python_number_is_a_scalar():
    assert match_variables({"c": {"n": np.zeros(())}}, {"c": {"n": 3}}) == {("c", "n"): 3}


def test_a_variable_of_the_name_value_is_itself():
    expected = {"c": {"value": np.zeros(2)}}
    assert list(match_variables(expected, expected)) == [("c", "value")]


def test_fitting_returns_the_very_arrays():
    array = np.ones(2)
    assert match_variables({"c": {"n": np.zeros(2)}}, {"c": {"n": array}})["c", "n"] is array


def test_an_ignored_collection_may_hold_anything():
    assert match_variables({"c": {}}, {"x": {"y": object()}}, ignored=frozenset({"x"})) == {}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"c": None}, "c: None, no arrays"),
        ({"c": {"n": None}}, "c/n: None, no array"),
        ({"c": {"n": {}}}, "c/n: an empty dict, no array"),
        ({"c": {"other": None}}, "c/other: unknown"),
    ],
    ids=["collection", "array", "empty", "unknown"],
)
def test_nothing_where_an_array_is_does_not_match(given, found):
    with pytest.raises(MatchVariablesError, match=f"Found: {found}"):
        match_variables({"c": {"n": np.zeros(2)}}, given)


def test_none_matches_a_variable_whose_value_is_none():
    expected = {"c": {"n": None, "m": np.zeros(2)}}
    assert match_variables(expected, {"c": {"n": None}}) == {}
