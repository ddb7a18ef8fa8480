"""Every assertion of the checks is the one that catches some fault, not only every check (T5)."""

import pytest

from conformance.assertions import assertions, can_say, unmatched
from conformance.faults import FAULTS

CAUGHT = [(fault.check, fault.error, fault.message) for fault in FAULTS]


@pytest.mark.law("T5")
def test_every_assertion_has_a_fault_of_its_own():
    assert [str(one) for one in unmatched(CAUGHT)] == []


@pytest.mark.law("T5")
def test_every_message_of_a_fault_is_that_of_an_assertion():
    assert [fault for fault in CAUGHT if not can_say(*fault)] == []


@pytest.mark.law("T5")
def test_a_message_that_no_assertion_can_say_is_found():
    check, error, message = CAUGHT[0]
    assert can_say(check, error, message)
    assert not can_say(check, error, "Nobody says so.")
    assert not can_say(check, "KeyError", message)


@pytest.mark.law("T5")
@pytest.mark.parametrize(
    "message",
    [
        pytest.param("added losses differs in value", id="of a comparison"),
        pytest.param("Each variable stands", id="of no assertion"),
        pytest.param("The seed of a layer does not count its draws.", id="of a law"),
    ],
)
def test_an_assertion_without_its_fault_is_found(message):
    less = [fault for fault in CAUGHT if fault[2] != message]
    assert len(unmatched(less)) == (message in {fault[2] for fault in CAUGHT})


def test_texts_that_only_a_run_knows_stand_for_any():
    said = {one.template.replace("\0", "...") for one in assertions()}
    assert {"outputs in ...", "variables after training", "variables after ..."} <= said
