"""Layers in a `keras.RematScope`: nothing is kept for the gradient, and all else is as without."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer

if not hasattr(keras, "RematScope"):
    pytest.skip("Keras has RematScope since 3.9", allow_module_level=True)

X = np.linspace(-1.0, 1.0, 20, dtype=np.float32).reshape(4, 5)
Y = np.linspace(0.0, 1.0, 12, dtype=np.float32).reshape(4, 3)


class Normed(nn.Module):
    """With a flag, state, keys, a loss and a static argument."""

    @nn.compact
    def __call__(self, x, kind="relu", train=False):
        x = getattr(nn, kind)(nn.Dense(6)(x))
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        x = nn.Dropout(0.5, deterministic=not train)(x)
        self.sow("losses", "square", jnp.mean(x**2))
        return nn.Dense(3)(jnp.sin(x))


class NormedNnx(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(5, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, momentum=0.5, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.norm(jnp.tanh(self.first(x))))


def layer_of(module, **scope):
    keras.utils.set_random_seed(0)
    if not scope:
        return FlaxLayer(module, seed=3, name="net")
    with keras.RematScope(**scope):
        return FlaxLayer(module, seed=3, name="net")


def trained(layer):
    model = keras.Sequential([keras.Input((5,)), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, Y, epochs=3, batch_size=2, shuffle=False, verbose=0)
    return model


@pytest.mark.law("A11")
@pytest.mark.parametrize("make", [Normed, lambda: NormedNnx], ids=["linen", "nnx"])
def test_a_recomputed_layer_trains_as_another(make):
    plain, recomputed = trained(layer_of(make())), trained(layer_of(make(), mode="full"))
    for mine, other in zip(recomputed.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)
    np.testing.assert_allclose(
        recomputed.predict(X, verbose=0), plain.predict(X, verbose=0), atol=1e-6
    )


@pytest.mark.law("A11")
@pytest.mark.jax_only
@pytest.mark.parametrize(
    ("scope", "asked"),
    [
        ({"mode": "full"}, True),
        ({"mode": "activations"}, False),
        ({"mode": "larger_than", "output_size_threshold": 11}, True),
        ({"mode": "larger_than", "output_size_threshold": 12}, False),
        ({"mode": "list_of_layers", "layer_names": ["net"]}, True),
        ({"mode": "list_of_layers", "layer_names": ["other"]}, False),
        ({}, False),
    ],
    ids=str,
)
def test_what_the_mode_of_the_scope_asks_for_is_recomputed(scope, asked):
    layer = layer_of(Normed(), **scope)
    layer.build_on(X)

    def run(trainable, others, x):
        return layer.stateless_call(trainable, others, x, training=True)

    trainable = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]
    assert ("prevent_cse" in str(jax.make_jaxpr(run)(trainable, others, X))) is asked


def test_static_arguments_and_losses_pass_through():
    layer, plain = layer_of(Normed(), mode="full"), layer_of(Normed())
    for one in (layer, plain):
        one.build_on(X, kind="gelu")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer(X, kind="gelu", training=True)),
        keras.ops.convert_to_numpy(plain(X, kind="gelu", training=True)),
        atol=1e-6,
    )
    assert len(layer.losses) == len(plain.losses) == 1
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer.losses[0]),
        keras.ops.convert_to_numpy(plain.losses[0]),
        atol=1e-6,
    )


def test_state_moves_once_for_each_call():
    layer, plain = layer_of(Normed(), mode="full"), layer_of(Normed())
    for one in (layer, plain):
        model = keras.Sequential([keras.Input((5,)), one])
        model.compile("sgd", "mse")
        model.train_on_batch(X, Y)
    norms = [one.flax_variables()["batch_stats"]["BatchNorm_0"] for one in (layer, plain)]
    mean, expected = (norm["mean"] for norm in norms)
    np.testing.assert_allclose(mean, expected, atol=1e-6)


def test_a_module_that_branches_on_values_runs_in_such_a_scope():
    class Branches(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(x if float(x.sum()) > 0 else -x)

    layer, plain = layer_of(Branches(), mode="full"), layer_of(Branches())
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(layer(X + 1)), keras.ops.convert_to_numpy(plain(X + 1))
    )


def test_a_subclass_with_a_call_of_its_own_is_recomputed_too():
    class Scaled(FlaxLayer):
        def call(self, x, training=None):
            return 2.0 * super().call(x, training=training)

    with keras.RematScope(mode="full"):
        layer = Scaled(Normed(), seed=3)
    model = keras.Sequential([keras.Input((5,)), layer])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
