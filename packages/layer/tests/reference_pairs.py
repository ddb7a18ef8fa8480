"""A layer of ours and the reference of one module, in the same models."""

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer

Reference = keras.layers.FlaxLayer


X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)


Y = np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32)


IMAGES = np.random.default_rng(2).normal(size=(4, 8, 8, 1)).astype(np.float32)


class Documented(nn.Module):
    """The first example in the documentation of the reference, smaller."""

    @nn.compact
    def __call__(self, inputs):
        x = nn.Conv(features=3, kernel_size=(3, 3))(inputs)
        x = nn.relu(x)
        x = nn.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = x.reshape((x.shape[0], -1))
        x = nn.Dense(features=5)(x)
        x = nn.relu(x)
        return nn.softmax(nn.Dense(features=2)(x))


class Forward(nn.Module):
    """The second example: several inputs and a flag of another name."""

    @nn.compact
    def forward(self, input1, input2, deterministic):
        x = nn.Dense(3)(input1) + nn.Dense(3)(input2)
        x = nn.BatchNorm(use_running_average=deterministic, momentum=0.5)(x)
        return nn.Dense(2)(x)


def wrapper(module, inputs, training):
    input1, input2 = inputs
    return module.forward(input1, input2, not training)


class Trained(nn.Module):
    @nn.compact
    def __call__(self, inputs, training=False):
        x = nn.Dense(5)(inputs)
        x = nn.BatchNorm(use_running_average=not training, momentum=0.5)(x)
        return nn.Dense(2)(nn.relu(x))

    def hidden(self, inputs):
        return self(inputs)


class Dropping(nn.Module):
    @nn.compact
    def __call__(self, inputs, training):
        return nn.Dropout(0.5, deterministic=not training)(nn.Dense(4)(inputs))


def variables_of(module, inputs=X, **kwargs):
    variables = module.init(jax.random.key(3), inputs, **kwargs)
    # NumPy arrays: Keras's trainer donates the buffers that the reference shares with its caller.
    return jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(0.1), variables)


def pair(module, **kwargs):
    """The reference and this layer on the same variables."""
    return Reference(module, **kwargs), FlaxLayer(module, **kwargs)


def both(layers, build_model):
    return [build_model(layer) for layer in layers]


def functional(layer):
    tensor = keras.Input((4,))
    return keras.Model(tensor, layer(tensor))


def sequential(layer):
    return keras.Sequential([keras.Input((4,)), layer])


class Subclassed(keras.Model):
    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, x, training=False):
        return self.layer(x, training=training)


def subclassed(layer):
    model = Subclassed(layer)
    model(X)
    return model


KINDS = [functional, sequential, subclassed]


BESIDE_THE_REFERENCE = pytest.mark.not_on("torch", "Keras has the reference for JAX and TensorFlow")
BAKES_IN_SIZES = pytest.mark.jax_only("on TensorFlow the reference takes its first batch size only")


def fit(model, epochs=3, **kwargs):
    kwargs = {"batch_size": 4, "shuffle": False, "verbose": 0, "epochs": epochs, **kwargs}
    return model.fit(X, Y, **kwargs)


def close(ours, theirs, rtol=1e-6, atol=1e-7):
    for left, right in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        left, right = np.asarray(left), np.asarray(right)
        assert (left.shape, left.dtype) == (right.shape, right.dtype)
        np.testing.assert_allclose(left, right, rtol=rtol, atol=atol)


def weights_by_name(layer):
    return jax.tree.map(np.asarray, (layer.params, layer.state))
