"""A public name without documentation ends the build."""

import types

import pytest

from docs.site.docstrings import to_rst
from docs.site.public_names import PACKAGES, UndocumentedError, public_names, refuse_undocumented


def _package(**values):
    package = types.ModuleType("flaxlayer_made")
    for name, value in values.items():
        setattr(package, name, value)
    package.__file__ = __file__
    package.__all__ = list(values)
    return package


def documented():
    """Does nothing."""


def undocumented(): ...


class Shown:
    """Is documented."""

    def hidden(self): ...


Shown.__module__ = "flaxlayer_made"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_documented(package):
    names = public_names(package)
    refuse_undocumented(names)
    assert len(names) > 10


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({"undocumented": undocumented}, r"flaxlayer_made\.undocumented$"),
        ({"Shown": Shown}, r"flaxlayer_made\.Shown\.hidden$"),
    ],
    ids=["function", "method"],
)
def test_a_name_without_documentation_is_refused(monkeypatch, values, missing):
    names = public_names_of(monkeypatch, documented=documented, **values)
    with pytest.raises(UndocumentedError, match=missing):
        refuse_undocumented(names)


def public_names_of(monkeypatch, **values):
    package = _package(**values)
    monkeypatch.setitem(__import__("sys").modules, package.__name__, package)
    return public_names(package)


def test_docstrings_become_links_and_programs():
    lines = ["Like `FlaxLayer`s and `x`:", "", "```python", ">>> 1", "1", "", "```"]
    assert to_rst(lines, "flaxlayer") == [
        r"Like :py:obj:`FlaxLayer <flaxlayer.FlaxLayer>`\ s and ``x``:",
        "",
        ".. code-block:: python",
        "",
        "   >>> 1",
        "   1",
        "",
        "",
    ]
