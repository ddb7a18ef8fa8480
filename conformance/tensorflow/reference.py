"""What users of `keras.layers.FlaxLayer` run into on TensorFlow, run with either layer (T3, T6).

The table in docs/tensorflow.md is made from this list; `conformance.reference` has what is so on
every backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import tensorflow as tf

from conformance.reference import Case, LayerFactory

__all__ = ["CASES"]

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)
IMAGES = np.linspace(-1.0, 1.0, 2 * 7 * 6, dtype=np.float32).reshape(2, 7, 6, 1)


def agree(actual: Any, expected: Any) -> None:
    """Asserts that an output is near what raw Flax gives."""
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=1e-5, atol=1e-5)


def another_batch_size(make: LayerFactory) -> None:
    module = nn.Dense(3)
    variables = module.init(jax.random.key(0), X)
    layer = make(module, variables=variables)
    for x in (X, X[:1]):
        agree(layer(x), module.apply(variables, x))


def functional_after_eager(make: LayerFactory) -> None:
    module = nn.Dense(3)
    variables = module.init(jax.random.key(0), X)
    layer = make(module, variables=variables)
    layer(X)
    tensor = keras.Input((4,))
    agree(keras.Model(tensor, layer(tensor)).predict(X, verbose=0), module.apply(variables, X))


class Strided(nn.Module):
    @nn.compact
    def __call__(self, inputs):
        return nn.Conv(2, (3, 3), strides=2)(inputs).mean((1, 2))


def strided_gradient(make: LayerFactory) -> None:
    variables = Strided().init(jax.random.key(0), IMAGES)
    tensor = keras.Input((None, None, 1))
    model = keras.Model(tensor, make(Strided(), variables=variables)(tensor))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    targets = np.ones((2, 2), np.float32)
    sizes = tf.TensorSpec((None, None, None, 1)), tf.TensorSpec((None, 2))
    data = tf.data.Dataset.from_generator(lambda: [(IMAGES, targets)], output_signature=sizes)
    model.fit(data.repeat(), steps_per_epoch=1, shuffle=False, verbose=0)

    def loss(params: Any) -> Any:
        return ((Strided().apply({"params": params}, IMAGES) - 1.0) ** 2).mean()

    gradients = jax.grad(loss)(variables["params"])
    trained = jax.tree.map(lambda p, g: p - 0.1 * g, variables["params"], gradients)
    agree(model.predict(IMAGES, verbose=0), Strided().apply({"params": trained}, IMAGES))


class Computes(nn.Module):
    function: Callable[..., Any]

    @nn.compact
    def __call__(self, inputs):
        return self.function(nn.Dense(4)(inputs))


def of_any_batch(make: LayerFactory, function: Callable[..., Any]) -> None:
    module = Computes(function)
    variables = module.init(jax.random.key(0), X)
    tensor = keras.Input((4,))
    model = keras.Model(tensor, make(module, variables=variables)(tensor))
    agree(model.predict(X, verbose=0), module.apply(variables, X))


def composites(make: LayerFactory) -> None:
    for function in (jax.lax.erf, jnp.arcsinh, lambda x: jax.lax.top_k(x, 2)[0]):
        of_any_batch(make, function)


def decompositions(make: LayerFactory) -> None:
    def singular_values(x: Any) -> Any:
        return jnp.linalg.svd(x[:, None] * jnp.eye(4), compute_uv=False)

    of_any_batch(make, singular_values)


class Drops(nn.Module):
    @nn.compact
    def __call__(self, inputs, training):
        return nn.Dropout(0.5, deterministic=not training)(inputs)


def new_units(make: LayerFactory) -> None:
    layer = make(Drops())
    ones = np.ones((4, 64), np.float32)
    first, second = (np.asarray(layer(ones, training=True)) for _ in range(2))
    assert (first != second).any(), "the same units are dropped at each call"


CASES = (
    Case("another batch size", another_batch_size, Exception, "symbolic shape", "fails"),
    Case(
        "a functional model after an eager call",
        functional_after_eager,
        Exception,
        "symbolic shape",
        "fails",
    ),
    Case(
        "training strided convolutions of unknown sizes",
        strided_gradient,
        Exception,
        "padding argument",
        "fails",
    ),
    Case("`erf`, `asinh`, `top_k` of any batch", composites, Exception, "XlaCallModule", "fails"),
    Case("singular values", decompositions, Exception, "XlaCallModule", "fails"),
    Case("dropout of other units at each call", new_units, AssertionError, "same units", "never"),
)
