"""A package that is not installed is named with what to install (§11)."""

import importlib.util

import pytest

from flaxlayer.extras import missing_extra, require
from flaxlayer_core import ImportExtraError


def test_what_is_missing_is_named_with_the_command_that_brings_it():
    error = missing_extra("It needs more.", "orbax", "orbax", "W2")
    assert isinstance(error, ImportExtraError)
    assert isinstance(error, ImportError)
    assert str(error).splitlines() == [
        "It needs more.",
        "Expected: the package orbax",
        "Found: it is not installed",
        "Fix: pip install 'flaxlayer[orbax]'",
        "Law: W2",
    ]


@pytest.mark.law("S4")
def test_a_package_is_looked_for_and_not_imported(monkeypatch):
    asked = []

    def find(name):
        asked.append(name)
        return None if name == "absent_package" else object()

    monkeypatch.setattr(importlib.util, "find_spec", find)
    require("present_package", "extra", "An export")
    with pytest.raises(ImportExtraError, match=r"^An export needs another package\.") as caught:
        require("absent_package", "extra", "An export")
    assert "flaxlayer[extra]" in caught.value.fix
    assert asked == ["present_package", "absent_package"]
