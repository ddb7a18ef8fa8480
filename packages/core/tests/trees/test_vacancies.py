"""None and empty containers, which JAX counts among no tree's leaves (B4)."""

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer_core.trees.vacancies import find_vacancies, without_none

pytestmark = pytest.mark.law("B4")

KERNEL = ("params", "Dense_0", "kernel")
EXPECTED = {
    "params": {"Dense_0": {"kernel": np.zeros((3, 2)), "bias": np.zeros(2)}},
    "cache": {"x": None, "e": {}, "y": np.zeros(2)},
}


def _given(kernel):
    return {"params": {"Dense_0": {"kernel": kernel}}}


@pytest.mark.parametrize(
    ("given", "emptied"),
    [
        ({"params": None}, {("params",): "None, no arrays"}),
        ({"params": {"Dense_0": None}}, {("params", "Dense_0"): "None, no arrays"}),
        (_given(None), {KERNEL: "None, no array"}),
        (_given({}), {KERNEL: "an empty dict, no array"}),
        (_given(()), {KERNEL: "an empty tuple, no array"}),
        (_given({"value": None}), {KERNEL: "None, no array"}),
        (_given(nn.Partitioned(None, ("a", "b"))), {KERNEL: "None, no array"}),
        ({"stats": None}, {("stats",): "None, no arrays"}),
    ],
    ids=[
        "a collection",
        "a module",
        "an array",
        "an empty dict",
        "an empty tuple",
        "a state dict's box",
        "a box",
        "another collection",
    ],
)
def test_nothing_in_the_place_of_arrays_is_named(given, emptied):
    found = find_vacancies(EXPECTED, given)
    assert (found.emptied, found.unknown) == (emptied, [])


@pytest.mark.parametrize(
    "given",
    [
        {},
        EXPECTED,
        {"params": {}, "cache": {}},
        {"params": {"Dense_0": {}}},
        {"cache": {"x": None, "e": None}},
        {"cache": {"x": {}, "e": {}}},
        {"stats": {}, "params": {"Dense_1": {}}},
    ],
    ids=["none", "all", "collections", "a module", "None", "empty", "unknown and empty"],
)
def test_a_part_of_which_nothing_is_given_and_a_value_of_none_are_no_vacancies(given):
    found = find_vacancies(EXPECTED, given)
    assert (found.emptied, found.unknown) == ({}, [])


def test_none_under_a_name_that_the_module_has_not_is_unknown():
    given = {"params": {"Dense_0": {"kernl": None}, "Dense_1": {"bias": None}}}
    found = find_vacancies(EXPECTED, given)
    assert found.unknown == [("params", "Dense_0", "kernl"), ("params", "Dense_1", "bias")]
    assert found.emptied == {}


def test_a_tree_without_none_keeps_empty_parts():
    assert without_none({"c": {"x": None, "e": {}}, "p": {"k": 0}}) == {
        "c": {"e": {}},
        "p": {"k": 0},
    }
