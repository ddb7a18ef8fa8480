"""What some tests need: versions, or more processes than the suite has time for."""

import keras
import pytest
from flax import nnx

KERAS = tuple(map(int, keras.version().split(".")[:2]))
"""The version of Keras."""

needs_nnx = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")

needs_layouts = pytest.mark.skipif(
    KERAS < (3, 10), reason="variables of Keras take a layout since 3.10"
)

with_processes = pytest.mark.parametrize(
    "count",
    [pytest.param(2, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.long)],
    ids=["two", "four"],
)
