"""Several threads call at once."""

import threading

from flaxlayer_testing.subject.simultaneous import call_at_once


def test_all_threads_are_there_before_the_first_call_returns():
    there = threading.Barrier(4, timeout=60)
    results, errors = call_at_once(lambda: there.wait() >= 0, threads=4)
    assert (results, errors) == ([True] * 4, [])


def test_each_thread_calls_as_often_as_asked():
    results, errors = call_at_once(lambda: 1, threads=3, calls=5)
    assert (sum(results), errors) == (15, [])


def test_errors_are_kept_beside_what_the_others_gave():
    first = threading.Lock()

    def call():
        if first.acquire(blocking=False):
            raise ValueError("one of them")
        return 1

    results, errors = call_at_once(call, threads=3)
    assert results == [1, 1]
    assert [str(error) for error in errors] == ["one of them"]
