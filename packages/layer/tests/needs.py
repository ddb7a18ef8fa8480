"""What some tests need of the versions that are installed."""

import keras
import pytest
from flax import nnx

needs_nnx = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")

needs_layouts = pytest.mark.skipif(
    tuple(map(int, keras.__version__.split(".")[:2])) < (3, 10),
    reason="variables of Keras take a layout since 3.10",
)
