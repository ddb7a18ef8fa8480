"""A module that needs values runs op by op on eager tensors, with its gradient (A6)."""

from typing import ClassVar

import flax.linen as nn
import jax
import numpy as np
import pytest
import tensorflow as tf

from flaxlayer import FlaxLayer

pytestmark = pytest.mark.law("K2")


def inputs(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_module_that_branches_on_values_runs_eagerly_and_is_refused_in_a_function(close):
    class Branches(nn.Module):
        @nn.compact
        def __call__(self, x):
            scale = self.param("scale", nn.initializers.constant(3.0), ())
            return x * scale if x.sum() > 0 else x - scale

    layer, x = FlaxLayer(Branches()), tf.ones((2, 2))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x))
    close(tape.gradient(loss, layer.trainable_weights[0].value).numpy(), np.float32(4.0))
    close(layer(-x).numpy(), np.full((2, 2), -4.0, np.float32))
    with pytest.raises(Exception, match=r"cannot run in a tf\.function"):
        tf.function(lambda x: layer(x))(x)


class Seen(nn.Module):
    kinds: ClassVar = []

    @nn.compact
    def __call__(self, x):
        self.kinds.append(isinstance(x, jax.core.Tracer))
        return nn.Dense(2)(x)


@pytest.mark.law("A6")
def test_disable_jit_runs_a_module_op_by_op_with_its_gradient(close):
    x = inputs(3, 4)
    layer = FlaxLayer(Seen())
    expected = layer(x)
    Seen.kinds.clear()
    with jax.disable_jit(), tf.GradientTape() as tape:
        found = layer(x)
        total = tf.reduce_sum(found)
    assert Seen.kinds == [False]
    close(found.numpy(), expected.numpy())
    gradient = tape.gradient(total, layer.params["params"]["Dense_0"]["kernel"].value)
    np.testing.assert_allclose(gradient, np.repeat(x.sum(0)[:, None], 2, 1), rtol=1e-5)
