"""A walk and the walks that try its result out share what they know, and no two others do (S1)."""

import pytest

from flaxlayer_core.config.walk_memory import Memory


@pytest.mark.law("S1")
def test_each_memory_begins_empty_and_is_its_own():
    first, second = Memory(), Memory()
    first.names["layer"], first.chosen[dict], first.verified[1] = object(), None, (object(), None)
    assert (second.names, second.chosen, second.verified) == ({}, {}, {})
