"""The bounds that SECURITY.md states are those of the code (S3)."""

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from flaxlayer_core import Limits

PAGE = Path(__file__).parents[1] / "SECURITY.md"
ROW = re.compile(r"^\| [^|]+ \| (?P<most>[\d,]+) \| `(?P<place>[\w.]+)` \|$", re.MULTILINE)
BOUNDS = {row["place"]: int(row["most"].replace(",", "")) for row in ROW.finditer(PAGE.read_text())}


def held(place):
    """What stands in a module, or in a class of one, under a dotted name."""
    parts = place.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AssertionError(place)


@pytest.mark.law("S3")
@pytest.mark.parametrize("place", BOUNDS)
def test_a_bound_of_the_page_is_that_of_the_code(place):
    assert held(place) == BOUNDS[place]


@pytest.mark.law("S3")
def test_each_limit_of_a_configuration_stands_on_the_page():
    for field in dataclasses.fields(Limits):
        assert f"flaxlayer_core.config.limits.Limits.{field.name}" in BOUNDS


def test_what_the_page_links_to_is_there():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE.read_text()):
        assert (PAGE.parent / link).exists(), link
