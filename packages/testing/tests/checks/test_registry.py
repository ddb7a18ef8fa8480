"""The one list of checks: entered by a decorator, in an order that stays (T2)."""

import importlib
import pkgutil

import pytest

from flaxlayer_testing import KeepLawError, SelectCheckError, checks
from flaxlayer_testing.checks import registry


@pytest.fixture(autouse=True)
def _own_list(monkeypatch):
    monkeypatch.setattr(registry, "_KNOWN", dict(registry._KNOWN))


def _refuses(subject):
    raise KeepLawError("It is refused.", law="A5")


def _entered(name, *laws, home="users"):
    def function(subject):
        _refuses(subject)

    function.__name__, function.__module__ = name, home
    return registry.check(*laws)(function)


@pytest.mark.law("T2")
def test_every_function_of_the_room_that_is_called_a_check_is_in_the_list():
    names = set()
    room = importlib.import_module("flaxlayer_testing.checks")
    for info in pkgutil.iter_modules(room.__path__):
        module = importlib.import_module(f"{room.__name__}.{info.name}")
        names |= {
            name
            for name, value in vars(module).items()
            if name.startswith("check_") and value.__module__ == module.__name__
        }
    assert {check.name for check in checks(slow=True)} == names


@pytest.mark.law("T2")
def test_checks_run_by_their_files_and_in_a_file_as_they_are_written():
    known = checks(slow=True)
    places = [
        (check.function.__module__, check.function.__code__.co_firstlineno) for check in known
    ]
    assert places == sorted(places)


@pytest.mark.law("T2")
@pytest.mark.parametrize(
    ("name", "laws"),
    [
        pytest.param("check_without_a_law", (), id="no law"),
        pytest.param("of_another_name", ("A5",), id="no name of a check"),
        pytest.param("check_inference", ("A5",), id="the name of another"),
    ],
)
def test_what_is_no_check_of_its_own_is_refused(name, laws):
    before = checks(slow=True)
    with pytest.raises(SelectCheckError, match="cannot be entered"):
        _entered(name, *laws)
    assert checks(slow=True) == before


def test_a_file_that_is_loaded_again_enters_its_checks_again():
    _entered("check_by_a_user", "A5")
    function = _entered("check_by_a_user", "A6")
    (check,) = checks(only=["check_by_a_user"])
    assert (check.function, check.laws) == (function, ("A6",))


def test_every_check_says_in_a_sentence_what_it_checks():
    for check in checks(slow=True):
        assert check.summary.endswith(".")
