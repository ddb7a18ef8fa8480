"""Initial values are made at the first request, once, in the order of the layout (B3)."""

import numpy as np

from flaxlayer.weights.initial import InitialValues


def test_values_are_made_when_they_are_asked_for_and_only_once():
    made = []

    def make():
        made.append(True)
        return {
            "params": {"kernel": np.ones(2), "bias": np.zeros(1)},
            "stats": {"mean": np.ones(3)},
        }

    values = InitialValues(make)
    assert not made
    first, second = values(), values()
    assert len(made) == 1
    assert first is second
    assert [leaf.shape for leaf in first] == [(1,), (2,), (3,)]
