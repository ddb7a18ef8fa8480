"""What each entry of the zoo of faulty layers has to be, to break what it says (T5)."""

import inspect

import pytest

from conformance.faults import FAULTS
from conformance.faults.parts import PLACES
from flaxlayer_testing import checks

by_name = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.layer.__name__)


def _overrides(fault):
    """Yields each function of a fault with its class."""
    parts = (getattr(fault.layer, place) for place in PLACES.values())
    for cls in {cls for part in (fault.layer, *parts) for cls in part.__mro__}:
        if cls.__module__.startswith("conformance."):
            for name, value in vars(cls).items():
                if inspect.isfunction(value):
                    yield name, cls


def _parameters(function):
    return [
        (parameter.name if parameter.kind is parameter.KEYWORD_ONLY else parameter.kind)
        for parameter in inspect.signature(function).parameters.values()
    ]


@pytest.mark.law("T5")
def test_every_check_has_a_fault_and_every_fault_a_check():
    names = {check.name for check in checks(slow=True)}
    caught = {fault.check for fault in FAULTS}
    assert caught - names == set()
    assert names - caught == set()


@pytest.mark.law("T5")
def test_there_are_thirty_faults_and_more():
    assert len({fault.layer for fault in FAULTS}) >= 30


@by_name
def test_a_private_method_of_a_fault_stands_in_for_one_of_the_layer(fault):
    private = [each for each in _overrides(fault) if each[0][0] == "_" and each[0][1] != "_"]
    assert [name for name, cls in private if not hasattr(super(cls, cls), name)] == []


@by_name
def test_a_method_of_a_fault_takes_what_that_of_the_layer_takes(fault):
    # Else each call fails, and nothing of the fault is seen.
    for name, cls in _overrides(fault):
        base = getattr(super(cls, cls), name, None)
        if inspect.isfunction(base) and not _takes_all(getattr(cls, name)):
            assert _parameters(getattr(cls, name)) == _parameters(base), f"{cls.__name__}.{name}"


def _takes_all(function):
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    return inspect.Parameter.VAR_POSITIONAL in kinds or inspect.Parameter.VAR_KEYWORD in kinds
