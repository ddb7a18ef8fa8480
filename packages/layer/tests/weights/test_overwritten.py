"""Weights whose gradient is their next value, as Flax's products in 8 bits keep them (C2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import pytest
from flax.linen import fp8_ops
from flax.training.train_state import TrainState

from flaxlayer import FlaxLayer
from flaxlayer_core import OVERWRITE_WITH_GRADIENT, CollectionPolicy

POLICY = CollectionPolicy(trainable=("params", OVERWRITE_WITH_GRADIENT))
RNG = np.random.default_rng(0)
X = (3 * RNG.normal(size=(16, 16))).astype(np.float32)
Y = RNG.normal(size=(16, 16)).astype(np.float32)


class Scaled(nn.Module):
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        return nn.Dense(16, dot_general_cls=nn.Fp8DirectDotGeneralOp, dtype=self.dtype)(x)


def fitted(layer, optimizer=None):
    model = keras.Sequential([keras.Input((16,)), layer])
    model.compile(optimizer or keras.optimizers.SGD(0.1), "mse")
    model.fit(X, Y, batch_size=16, epochs=3, verbose=0)


def test_the_collection_has_the_name_that_flax_gives_it():
    assert OVERWRITE_WITH_GRADIENT == fp8_ops.OVERWRITE_WITH_GRADIENT


@pytest.mark.law("C2")
def test_scales_that_are_trainable_move_as_in_a_train_state():
    layer = FlaxLayer(Scaled(), collections=POLICY)
    layer.build_on(X)
    module = Scaled()
    state = TrainState.create(
        apply_fn=module.apply, params=layer.flax_variables(), tx=optax.sgd(0.1)
    )

    @jax.jit
    def step(state):
        def loss(params):
            return jnp.mean((module.apply(params, X) - Y) ** 2)

        return state.apply_gradients(grads=jax.grad(loss)(state.params))

    for _ in range(3):
        state = step(state)
    fitted(layer)
    jax.tree_util.tree_map(
        lambda mine, raw: np.testing.assert_allclose(mine, raw, atol=1e-5),
        layer.flax_variables(),
        jax.device_get(state.params),
    )
    scales = layer.flax_variables()[OVERWRITE_WITH_GRADIENT]
    assert all(np.any(leaf != 0) for leaf in jax.tree_util.tree_leaves(scales))


@pytest.mark.law("C2")
def test_scales_are_state_where_nothing_is_said():
    layer = FlaxLayer(Scaled())
    layer.build_on(X)
    before = layer.flax_variables()[OVERWRITE_WITH_GRADIENT]
    fitted(layer, keras.optimizers.Adam(0.1))
    after = layer.flax_variables()[OVERWRITE_WITH_GRADIENT]
    jax.tree_util.tree_map(np.testing.assert_array_equal, before, after)
    assert not any(variable.overwrite_with_gradient for variable in layer.weights)


@pytest.mark.law("C2", "A7")
def test_a_dtype_policy_leaves_the_scales_as_they_are():
    layer = FlaxLayer(Scaled(jnp.bfloat16), collections=POLICY, dtype="bfloat16")
    fitted(layer)
    tree = layer.flax_variables()
    assert {str(leaf.dtype) for leaf in jax.tree_util.tree_leaves(tree["params"])} == {"bfloat16"}
    scales = tree[OVERWRITE_WITH_GRADIENT]
    assert {str(leaf.dtype) for leaf in jax.tree_util.tree_leaves(scales)} == {"float32"}


@pytest.mark.law("C5")
def test_a_frozen_scale_stays():
    layer = FlaxLayer(Scaled(), collections=POLICY)
    layer.build_on(X)
    layer.freeze(f"{OVERWRITE_WITH_GRADIENT}/**")
    before = layer.flax_variables()[OVERWRITE_WITH_GRADIENT]
    fitted(layer)
    after = layer.flax_variables()[OVERWRITE_WITH_GRADIENT]
    jax.tree_util.tree_map(np.testing.assert_array_equal, before, after)
