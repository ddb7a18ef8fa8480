"""Classes of packages that may be there are known by name, and none is imported for it (S2)."""

import subprocess
import sys

import pytest
from ml_collections.config_dict import config_dict

from flaxlayer_core.config.optional_packages import optional_class, optional_name

NAMES = ["ConfigDict", "FrozenConfigDict", "FieldReference"]


@pytest.mark.law("S2")
@pytest.mark.parametrize("name", NAMES)
def test_a_class_of_an_imported_package_has_its_name(name):
    config_dict = pytest.importorskip("ml_collections.config_dict.config_dict")
    cls = optional_class(f"ml_collections:{name}")
    assert cls is getattr(config_dict, name)
    assert optional_name(cls) == f"ml_collections:{name}"


@pytest.mark.law("S2")
def test_asking_imports_nothing():
    code = """
import sys
from flaxlayer_core.config.optional_packages import optional_class
for name in [name for name in sys.modules if name.split(".")[0] == "ml_collections"]:
    del sys.modules[name]
print(optional_class("ml_collections:ConfigDict"), "ml_collections" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "False"]


@pytest.mark.law("S2")
def test_other_names_and_values_are_none_of_these():
    assert optional_class("os:system") is None
    assert optional_class("ml_collections:placeholder") is None
    assert [*map(optional_name, (dict, "ConfigDict", None))] == [None] * 3


@pytest.mark.law("S2")
def test_what_took_the_place_of_a_class_is_none(monkeypatch):
    monkeypatch.setattr(config_dict, "ConfigDict", print)
    assert optional_class("ml_collections:ConfigDict") is None
    assert optional_name(print) is None
