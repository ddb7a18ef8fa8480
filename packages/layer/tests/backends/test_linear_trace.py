"""What a gradient is computed from is known once a function was traced with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer.backends.linear_trace import LinearTrace


def function(x, w, n):
    return [jnp.sin(x) * w, n + 1]


ARRAYS = (jnp.float32(0.5), jnp.float32(3.0), jnp.int32(1))


@pytest.mark.parametrize("moving", [(), (1,)], ids=["inputs", "kept"])
def test_gradients_come_from_inputs_and_from_what_is_kept(moving):
    trace = LinearTrace(function, (0, 1), frozenset(moving))
    first, second, *kept = jax.jit(lambda *arrays: trace.forward(*arrays))(*ARRAYS)
    assert trace.count == 2
    np.testing.assert_allclose(first, 3 * np.sin(0.5), rtol=1e-6)
    assert int(second) == 2
    # Of what moves nothing is read again.
    assert (1 in trace.taken()) == (not moving)
    inputs = {index: ARRAYS[index] for index in trace.taken()}
    by_x, by_w = trace.gradients(inputs, kept, [jnp.float32(2.0)])
    np.testing.assert_allclose(by_x, 2 * 3 * np.cos(0.5), rtol=1e-6)
    np.testing.assert_allclose(by_w, 2 * np.sin(0.5), rtol=1e-6)
