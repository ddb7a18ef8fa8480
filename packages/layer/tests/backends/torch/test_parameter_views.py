"""Views of parameters are made once, and show what torch writes (K3)."""

import numpy as np
import pytest
import torch

from flaxlayer.backends.torch.parameter_views import ParameterViews

pytestmark = pytest.mark.law("K3")


def test_a_view_is_made_once_and_shows_what_is_written():
    views, tensor = ParameterViews(), torch.nn.Parameter(torch.zeros(16))
    (kept,), (first,) = views.of([tensor])
    assert kept is tensor
    (_,), (second,) = views.of([tensor])
    assert second is first
    with torch.no_grad():
        tensor.fill_(3)
    np.testing.assert_array_equal(first, np.full(16, 3, np.float32))


def test_other_memory_gets_another_view():
    views, tensor = ParameterViews(), torch.nn.Parameter(torch.zeros(4, 4))
    views.of([tensor])
    tensor.data = torch.ones(4, 4)
    np.testing.assert_array_equal(views.of([tensor])[1][0], np.ones((4, 4)))
    tensor.data = torch.arange(16.0).view(4, 4)
    views.of([tensor])
    tensor.data = tensor.data.t()
    np.testing.assert_array_equal(views.of([tensor])[1][0], np.arange(16.0).reshape(4, 4).T)


def test_what_is_a_copy_is_made_anew():
    views, memory = ParameterViews(), torch.zeros(17)
    tensor = memory[1:]
    views.of([tensor])
    memory.fill_(2)
    np.testing.assert_array_equal(views.of([tensor])[1][0], np.full(16, 2, np.float32))
    wide = torch.zeros(4, dtype=torch.int64)
    views.of([wide])
    wide.fill_(7)
    np.testing.assert_array_equal(views.of([wide])[1][0], np.full(4, 7))
