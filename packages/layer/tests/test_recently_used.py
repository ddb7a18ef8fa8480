"""A bounded table of the last things used (A1)."""

import pytest

from flaxlayer.recently_used import RECENT_CALLS, RecentlyUsed


@pytest.mark.law("A1")
def test_the_bound_leaves_room_for_ordinary_use_and_keeps_what_is_used():
    table = RecentlyUsed()
    for key in range(RECENT_CALLS):
        table[key] = key
    assert all(table.get(key) == key for key in range(RECENT_CALLS))
    for key in range(RECENT_CALLS, 20 * RECENT_CALLS):
        table[key] = key
        assert table.get(0) == 0
    assert len(table) <= 2 * RECENT_CALLS
    assert table.get(1) is None
