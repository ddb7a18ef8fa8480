"""Pooling over the dimensions of a window alone gives what pooling over all of them gave."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer.compat.jax_primitives import window_of
from flaxlayer.exports.pooling import with_plain_pooling
from flaxlayer_core import equations

X = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype(np.float32)


@jax.custom_jvp
def pooled_by_itself(x):
    return nn.max_pool(x, (2, 2))


pooled_by_itself.defjvp(lambda primals, tangents: (pooled_by_itself(*primals), tangents[0]))

FUNCTIONS = {
    "max": lambda x: nn.max_pool(x, (2, 2), (2, 2)),
    "mean with padding": lambda x: nn.avg_pool(x, (3, 2), (1, 2), "SAME"),
    "of channels": lambda x: nn.max_pool(jnp.moveaxis(x, -1, 1), (2, 5), (1, 1)),
    "over one axis": lambda x: nn.max_pool(x, (1, 3)),
    "under jit": jax.jit(lambda x: 2.0 * nn.max_pool(x, (2, 2))),
    "rematerialised": jax.checkpoint(lambda x: nn.max_pool(x, (2, 2))),
    "with a derivative of its own": pooled_by_itself,
    "beside other operations": lambda x: jnp.sort(nn.max_pool(jnp.sin(x), (2, 2)), 1) + 1.0,
}


def ranks_of_windows(traced):
    windows = filter(None, map(window_of, equations(traced.jaxpr)))
    return {len(window.sizes) for window in windows}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_gives_the_same_with_fewer_dimensions(name):
    traced = jax.make_jaxpr(FUNCTIONS[name])(X)
    assert ranks_of_windows(traced) == {4}
    plain = with_plain_pooling(traced)
    assert max(ranks_of_windows(jax.make_jaxpr(plain)(X))) <= 3
    (found,) = plain(X)
    np.testing.assert_array_equal(found, FUNCTIONS[name](X))


def test_windows_of_few_dimensions_stay():
    x = X[0, :, :, 0]
    traced = jax.make_jaxpr(lambda x: nn.max_pool(x, (2,)))(x)
    assert ranks_of_windows(jax.make_jaxpr(with_plain_pooling(traced))(x)) == ranks_of_windows(
        traced
    )
