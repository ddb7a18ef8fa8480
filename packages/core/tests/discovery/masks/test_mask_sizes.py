"""Sizes of masked inputs are all different, so that none equals another by chance (A4)."""

import itertools

import numpy as np
import pytest

from flaxlayer_core import ArraySpec
from flaxlayer_core.discovery.masks.mask_sizes import different_sizes

pytestmark = pytest.mark.law("A4")


def spec(*shape):
    return ArraySpec(shape, np.dtype("float32"))


def all_sizes(specs, ranks, taken=()):
    return list(itertools.islice(different_sizes(specs, ranks, taken), 200))


def test_masked_dimensions_differ_from_each_other_and_from_the_rest():
    first = all_sizes([spec(None, None, 4)], {0: 2})[0]
    for batch, time, features in (*first.first, *first.second):
        assert features == 4
        assert len({batch, time, features}) == 3
    assert first.first != first.second
    assert first.time_varies


def test_sizes_that_the_module_has_of_itself_are_not_used():
    [(batch, time, _)] = all_sizes([spec(None, 4, 4)], {0: 2})[0].first
    first = all_sizes([spec(None, 4, 4)], {0: 2}, taken=(batch, time))[0]
    assert not {batch, time} & set(first.first[0][:2])


def test_known_sizes_are_multiplied_before_they_are_kept():
    sizes = all_sizes([spec(2, 6, 3)], {0: 2})
    assert all(time % 6 == 0 for _, time, _ in sizes[0].first)
    assert sizes[-1].first == sizes[-1].second == ((2, 6, 3),)
    assert not sizes[-1].time_varies


def test_two_inputs_are_of_different_lengths_before_they_are_of_one():
    sizes = all_sizes([spec(None, None, 4), spec(None, None, 4)], {0: 2, 1: 2})
    apart = [one.first[0][1] != one.first[1][1] for one in sizes]
    assert apart[0]
    assert not all(apart)


def test_arrays_without_a_mask_keep_their_known_dimensions():
    sizes = all_sizes([spec(None, 5, 4), spec(7, 3)], {0: 2})
    assert all(one.first[1][1] == 3 for one in sizes)


def test_the_search_ends():
    assert len(all_sizes([spec(None, None)] * 4, dict.fromkeys(range(4), 2))) < 200


def specs(*shapes):
    return [ArraySpec(shape, np.dtype("float32")) for shape in shapes]


def choices(shapes, ranks, taken=()):
    return list(different_sizes(specs(*shapes), ranks, taken))


def test_then_sizes_are_smaller_where_a_module_may_have_a_greatest_one():
    found = choices([(2, 12, 5)], {0: 2})
    assert any(max(each.first[0][1], each.second[0][1]) < 12 for each in found)


def test_a_module_that_takes_its_batch_alone_keeps_it_in_some_choice():
    found = choices([(4, 6, 3)], {0: 2})
    kept = [each for each in found if each.first[0][0] == 4 and each.time_varies]
    assert kept
    assert found.index(kept[0]) > 0
