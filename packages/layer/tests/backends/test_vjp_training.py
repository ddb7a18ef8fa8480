"""Training of modules with results that JAX has no gradient of, and no loss depends on."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


def halved(start, shift):
    def step(carry):
        return 0.5 * carry[0] + shift, carry[1] + 1

    return jax.lax.while_loop(lambda carry: carry[1] < 3, step, (start, 0))[0]


class Counting(nn.Module):
    """A loop without a gradient reaches state, and an output."""

    @nn.compact
    def __call__(self, x, train=False):
        y = nn.Dense(3)(x)
        mean = self.variable("stats", "mean", jnp.zeros, (3,))
        if train:
            mean.value = halved(mean.value, y.mean(0))
        return {"y": y, "loop": halved(y, y)}


@pytest.mark.law("K1")
def test_what_no_loss_depends_on_needs_no_gradient(close):
    layer = FlaxLayer(Counting(), seed=3)
    inputs = keras.Input((3,))
    outputs = layer(inputs)
    model = keras.Model(inputs, outputs["y"])
    before = layer.flax_variables()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, X, batch_size=4, verbose=0)

    def loss(params):
        variables = {**before, "params": params}
        out, updates = Counting().apply(variables, X, train=True, mutable=["stats"])
        return jnp.mean((out["y"] - X) ** 2), updates

    gradients, updates = jax.grad(loss, has_aux=True)(before["params"])
    step = jax.tree.map(lambda p, g: p - 0.1 * g, before["params"], gradients)
    close(jax.tree.map(np.asarray, layer.flax_variables()), {"params": step, **updates})


@pytest.mark.law("K4")
def test_a_loss_that_depends_on_it_fails_with_the_words_of_jax():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, FlaxLayer(Counting(), seed=3)(inputs)["loop"])
    model.compile("sgd", "mse")
    with pytest.raises(Exception, match="Reverse-mode differentiation does not work"):
        model.fit(X, X, batch_size=4, verbose=0)
