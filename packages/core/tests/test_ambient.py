"""A context variable has its value inside a context alone, whatever ends it."""

import contextvars
import threading

import pytest

from flaxlayer_core.ambient import holding

VARIABLE = contextvars.ContextVar("variable", default="outside")


def test_the_value_of_before_is_back_after_each_context():
    with holding(VARIABLE, "first") as held:
        assert held == VARIABLE.get() == "first"
        with holding(VARIABLE, "second"):
            assert VARIABLE.get() == "second"
        assert VARIABLE.get() == "first"
    assert VARIABLE.get() == "outside"


def test_an_error_puts_it_back_too():
    with pytest.raises(KeyError), holding(VARIABLE, "inside"):
        raise KeyError
    assert VARIABLE.get() == "outside"


def test_another_thread_does_not_see_it():
    seen = []
    with holding(VARIABLE, "inside"):
        thread = threading.Thread(target=lambda: seen.append(VARIABLE.get()))
        thread.start()
        thread.join()
    assert seen == ["outside"]
