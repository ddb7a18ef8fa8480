"""Objects of Keras in the place of a Flax module are refused by name, and not called."""

import functools

import flax.linen as nn
import keras
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import AcceptModuleError


class Takes(keras.Model):
    """Could be called without arguments."""

    called = 0

    def call(self):
        Takes.called += 1
        return nn.Dense(2)


def _functional():
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(2)(inputs), name="net")


@pytest.mark.parametrize(
    ("make", "found", "fix"),
    [
        (lambda: keras.layers.Dense(2, name="d"), "the Keras layer Dense 'd'", "Use it as it is"),
        (_functional, "the Keras model Functional 'net'", "Use it as it is"),
        (lambda: keras.Sequential(name="s"), "the Keras model Sequential 's'", "Use it as it is"),
        (lambda: Takes(name="t"), "the Keras model Takes 't'", "Use it as it is"),
        (lambda: keras.layers.Dense, "the class of the Keras layer Dense", "Use it as it is"),
        (
            lambda: functools.partial(keras.layers.Dense, 2),
            "the class of the Keras layer Dense",
            "Use it as it is",
        ),
        (
            lambda: FlaxLayer(nn.Dense(2), name="f"),
            "the Keras layer FlaxLayer 'f'",
            "its module is layer.module",
        ),
        (
            lambda: FlaxLayer(nn.Dense(2)).method("__call__", name="m"),
            "the Keras layer FlaxMethod 'm'",
            "Use it as it is",
        ),
        (lambda: keras.metrics.Mean("m"), "the Keras metric Mean 'm'", "where Keras asks for it"),
        (
            lambda: keras.initializers.Zeros(),
            "the Keras initializer Zeros",
            "where Keras asks for it",
        ),
    ],
    ids=[
        "layer",
        "functional",
        "sequential",
        "subclassed",
        "class",
        "partial",
        "FlaxLayer",
        "FlaxMethod",
        "metric",
        "initializer",
    ],
)
def test_an_object_of_keras_is_refused_by_name(make, found, fix):
    with pytest.raises(AcceptModuleError, match="as a module") as caught:
        FlaxLayer(make())
    lines = str(caught.value).splitlines()
    assert lines[2] == f"Found: {found}"
    assert fix in lines[3]
    assert Takes.called == 0
