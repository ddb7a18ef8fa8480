"""What was compiled is kept within a bound (A1)."""

import gc
import weakref

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.recently_used import RecentlyUsed

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)


class Repeats(nn.Module):
    @nn.compact
    def __call__(self, x, count=1):
        return x * count


@pytest.mark.law("A1")
def test_what_was_compiled_is_kept_within_a_bound_and_then_freed():
    layer = FlaxLayer(Repeats())
    layer(X, count=-1)
    state = layer._runner.cache
    state.calls, state.specs = RecentlyUsed(3), RecentlyUsed(3)
    layer(X, count=0)
    freed = [weakref.ref(call) for call in state.calls._new.values()]
    assert freed
    for count in range(1, 9):
        np.testing.assert_allclose(layer(X, count=count), X * count)
        assert len(state.calls) <= 6
        assert len(state.specs) <= 6
    gc.collect()
    assert [reference() for reference in freed] == [None] * len(freed)
    np.testing.assert_allclose(layer(X, count=0), X * 0)
