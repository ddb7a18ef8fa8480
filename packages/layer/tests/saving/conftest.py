"""No test of what is saved runs what a file made by hand names (S2)."""

import pytest

from packages.layer.tests.saving.hostile_configs import EXECUTED


@pytest.fixture(autouse=True)
def nothing_executed():
    EXECUTED.clear()
    yield
    assert EXECUTED == []
