"""The checks are proven: each catches its faulty layer, and passes the healthy twin (T5)."""

import contextlib
import functools
import subprocess
import sys

import keras
import pytest
from hypothesis.errors import NoSuchExample

from conformance.faults import FAULTS
from flaxlayer import FlaxLayer
from flaxlayer_testing import (
    ExpectedFailure,
    Status,
    Subject,
    failing_program,
    run_report,
)
from flaxlayer_testing.run.fault_search import find_fault
from flaxlayer_testing.run.programs import PROGRAMS

pytestmark = pytest.mark.slow

SEEDS_OF_A_RUN = (2, 3, 4)
"""What a seed draws depends on the modules that the process has imported, so one may miss."""

by_name = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.layer.__name__)


def _healthy(case):
    return Subject.from_case(case)


def _entry(subject, check):
    (entry,) = run_report(subject, only=[check]).entries
    return entry


@functools.cache
def _found(fault):
    *first, last = SEEDS_OF_A_RUN
    for seed in first:
        with contextlib.suppress(NoSuchExample):
            return find_fault(fault, seed)
    return find_fault(fault, last)


@pytest.mark.law("T5")
@by_name
def test_search_finds_the_fault_within_its_budget_and_the_healthy_twin_passes(
    fault, record_property
):
    case, tried = _found(fault)
    record_property("tried", tried)
    entry = _entry(_healthy(case), fault.check)
    assert entry.status is Status.PASSED, entry.failure_text()


@pytest.mark.law("T6")
def test_a_known_failure_is_expected_and_a_stale_one_fails():
    fault = next(fault for fault in FAULTS if fault.check == "check_sown")
    case, _ = _found(fault)
    known = ExpectedFailure(fault.check, fault.error, fault.message, "sown values are not kept")
    faulty, healthy = _healthy(case).with_layer(fault.layer), _healthy(case)
    report = run_report(faulty, only=[fault.check], expected_failures=[known])
    assert report.ok
    assert report.entries[0].status is Status.EXPECTED
    stale = run_report(healthy, only=[fault.check], expected_failures=[known])
    assert not stale.ok
    assert "did not come about: it passed" in stale.entries[0].message


def _program_error(text):
    try:
        exec(compile(text, "<program>", "exec"), {"__name__": "program"})
    except AssertionError as error:
        return error
    return None


PRINTED = [fault for fault in FAULTS if fault.check in PROGRAMS]


@pytest.mark.law("T1")
@pytest.mark.filterwarnings(r"ignore:Using 'Module.sow\(\)' outside:DeprecationWarning")
@pytest.mark.parametrize("fault", PRINTED, ids=lambda fault: fault.layer.__name__)
def test_the_printed_program_fails_for_the_faulty_layer_and_passes_for_its_twin(fault):
    case, _ = _found(fault)
    for layer, fails in ((fault.layer, True), (FlaxLayer, False)):
        text = failing_program(_healthy(case).with_layer(layer), fault.check)
        assert "flaxlayer_testing" not in text
        assert (_program_error(text) is not None) == fails, text


@pytest.mark.law("T1")
def test_the_printed_program_stands_alone():
    fault = next(fault for fault in FAULTS if fault.check == "check_state_training")
    case, _ = _found(fault)
    done = _run(
        [sys.executable, "-c", failing_program(_healthy(case).with_layer(fault.layer), fault.check)]
    )
    assert done.returncode == 1
    assert "AssertionError" in done.stderr


@pytest.mark.law("T8")
def test_the_last_line_of_a_failure_is_the_command_that_replays_it(monkeypatch):
    fault = next(fault for fault in FAULTS if fault.check == "check_state_training")
    case, _ = _found(fault)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # in a test, it is the test that is run again
    report = run_report(_healthy(case).with_layer(fault.layer), only=[fault.check])
    with pytest.raises(AssertionError) as caught:
        report.raise_for_failures()
    line = str(caught.value).splitlines()[-1]
    backend = f"KERAS_BACKEND={keras.backend.backend()}"
    assert line.startswith(f"Replay: {backend} python -m flaxlayer_testing.run.replay")
    done = _run(["sh", "-c", line.removeprefix("Replay: ").replace("python", sys.executable, 1)])
    assert done.returncode == 1
    assert "variables after training" in done.stderr


def _run(command):
    return subprocess.run(command, capture_output=True, text=True, check=False)
