"""What the tests of the TensorFlow backend share: raw Flax beside the layer."""

import jax
import numpy as np
import pytest
import tensorflow as tf

# Two devices, for the tests of distribution; it must be said before TensorFlow starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

# Both sides compile with XLA, of different ages: sums come in another order.
_CLOSE = {"float32": (1e-5, 1e-5), "complex64": (1e-5, 1e-5), "bfloat16": (2e-2, 2e-2)}


@pytest.fixture
def close():
    """Asserts that two trees agree in structure, shape and dtype, and closely in value."""

    def check(actual, expected, *, rtol=None, atol=None):
        assert jax.tree.structure(actual) == jax.tree.structure(expected)
        for left, right in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            left, right = np.asarray(left), np.asarray(right)
            assert left.dtype == right.dtype
            assert left.shape == right.shape
            if left.dtype.name in _CLOSE:
                known = _CLOSE[left.dtype.name]
                wide = np.complex128 if left.dtype.kind == "c" else np.float64
                np.testing.assert_allclose(
                    left.astype(wide),
                    right.astype(wide),
                    rtol=rtol or known[0],
                    atol=atol or known[1],
                )
            else:
                np.testing.assert_array_equal(left, right)

    return check
