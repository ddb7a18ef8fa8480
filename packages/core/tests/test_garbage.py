"""Python's garbage collector runs rarely for a while, and then as before."""

import gc
import threading

import pytest

from flaxlayer_core.garbage import collecting_rarely


@pytest.fixture
def threshold():
    """Sets a threshold, and puts back what stood before the test."""
    before = gc.get_threshold()
    yield gc.set_threshold
    gc.set_threshold(*before)


@pytest.mark.law("B6")
def test_few_objects_are_no_reason_to_collect(threshold):
    threshold(700, 10, 10)
    runs = []
    gc.callbacks.append(lambda phase, info: runs.append(phase))
    try:
        with collecting_rarely():
            runs.clear()
            kept = [[] for _ in range(50_000)]
            assert runs == []
        kept += [[] for _ in range(50_000)]
        assert runs
    finally:
        gc.callbacks.pop()


@pytest.mark.law("B6")
def test_an_error_and_a_context_inside_leave_what_was_set(threshold):
    threshold(701, 11, 12)
    with pytest.raises(KeyError), collecting_rarely():
        with collecting_rarely():
            pass
        assert gc.get_threshold()[0] > 701
        raise KeyError
    assert gc.get_threshold() == (701, 11, 12)


@pytest.mark.law("B6", "A8")
def test_the_last_of_several_threads_puts_it_back(threshold):
    threshold(701, 11, 12)
    entered, leave = threading.Event(), threading.Event()

    def run():
        with collecting_rarely():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=run)
    with collecting_rarely():
        thread.start()
        entered.wait()
    assert gc.get_threshold()[0] > 701
    leave.set()
    thread.join()
    assert gc.get_threshold() == (701, 11, 12)


@pytest.mark.law("B6")
@pytest.mark.parametrize("first", [0, 1_000_000], ids=["off", "rarer"])
def test_who_collects_less_already_does_so(threshold, first):
    threshold(first, 10, 10)
    with collecting_rarely():
        assert gc.get_threshold() == (first, 10, 10)
    assert gc.get_threshold() == (first, 10, 10)


@pytest.mark.law("B6")
def test_what_somebody_sets_meanwhile_stands(threshold):
    threshold(700, 10, 10)
    with collecting_rarely():
        gc.set_threshold(50, 5, 5)
    assert gc.get_threshold() == (50, 5, 5)
    gc.disable()
    try:
        with collecting_rarely():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
