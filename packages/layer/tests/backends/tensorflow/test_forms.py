"""Forms of unknown sizes are tried from what assumes least, and an error says what it is of."""

import numpy as np
import pytest

from flaxlayer.backends.tensorflow.forms import first_form, symbolic_forms, tied_axes
from flaxlayer_core import ArraySpec, LowerModuleError, NoSizeFitsError

FLOAT = np.dtype("float32")
TWO = [ArraySpec((None, None), FLOAT), ArraySpec((None, None, 3), FLOAT)]


def texts(form):
    return [tuple(map(str, array.shape)) for array in form]


def test_only_batches_agree_at_first_and_everything_at_last():
    forms = [texts(form) for form in symbolic_forms(TWO)]
    assert forms[0] == [("batch", "dim0_1"), ("batch", "dim1_1", "3")]
    assert [("dim", "dim"), ("dim", "dim", "3")] in forms
    assert [("dim0_0", "dim0_1"), ("dim1_0", "dim1_1", "3")] in forms


def test_no_form_is_tried_twice_but_for_a_size_of_one():
    one = [ArraySpec((None,), FLOAT)]
    first, second = symbolic_forms(one)
    assert texts(first) == texts(second) == [("batch",)]
    with pytest.raises(Exception, match="inconclusive"):
        bool(first[0].shape[0] >= 2)
    assert second[0].shape[0] >= 2


def test_known_sizes_have_one_form():
    (form,) = symbolic_forms([ArraySpec((2, 3), FLOAT, weak=True)])
    assert form[0].shape == (2, 3)
    assert form[0].weak_type


def test_sizes_that_are_taken_for_equal_are_told_but_for_batches():
    tied = [tied_axes(form) for form in symbolic_forms(TWO)]
    assert tied[0] == []
    assert [[(0, 1), (1, 1)]] in tied
    assert [[(0, 0), (0, 1), (1, 0), (1, 1)]] in tied


def test_the_first_form_that_a_trace_takes_is_kept():
    def trace(form):
        if form[0].shape[1] != form[1].shape[1]:
            raise TypeError("unequal")
        return texts(form)

    assert first_form(TWO, trace) == [("batch", "dim1"), ("batch", "dim1", "3")]


def test_an_error_of_known_sizes_is_raised_as_it_is():
    def trace(form):
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        first_form([ArraySpec((2,), FLOAT)], trace)
    with pytest.raises(NoSizeFitsError, match="its own"):
        first_form(TWO, trace)


def test_an_error_of_ours_ends_the_search():
    tried = []

    def trace(form):
        tried.append(form)
        raise LowerModuleError("named", expected="", found="", fix="", law="K4")

    with pytest.raises(LowerModuleError):
        first_form(TWO, trace)
    assert len(tried) == 1
