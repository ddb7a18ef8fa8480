"""Modules that can be traced, and those that cannot (A6)."""

import pytest

from packages.core.tests.discovery.examples import (
    Branches,
    Norm,
    X,
    roles,
)


@pytest.mark.law("A6")
def test_a_module_that_branches_on_values_is_not_traceable(examined):
    found = examined(Branches(), X)
    assert not found.traceable
    assert roles(found) == {"params": "trainable", "counter": "state"}


@pytest.mark.law("A6")
def test_an_ordinary_module_is_traceable(examined):
    assert examined(Norm(), X).traceable
