"""No surrounding of the layer changes the dtype of what the module sees (A10)."""

import flax.linen as nn
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer.building import LayerBuilder

# A float32 has no place for 2**24 + 1.
TOKENS = np.array([[2**24 + 1, 5, 6], [1, 2, 3]], np.int32)
VALUES = {
    "int32": TOKENS,
    "complex64": (TOKENS * 1j).astype(np.complex64),
    "float16": TOKENS[1:].astype(np.float16),
    "bool": TOKENS > 4,
    "uint8": TOKENS[1:].astype(np.uint8),
    "float32": TOKENS[1:].astype(np.float32),
}


class Same(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x


class NnxSame(nnx.Module):
    def __init__(self, rngs):
        pass

    def __call__(self, x):
        return x


class Inside(keras.layers.Layer):
    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, x):
        return self.layer(x)


class Within(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.part = keras.Sequential([layer])

    def call(self, x):
        return self.part(x)


def wrapped(layer):
    return keras.Sequential(
        [keras.layers.Reshape((3, 1)), keras.layers.TimeDistributed(layer)], name="wrapped"
    )


def functional(layer):
    tensor = keras.Input((3,), dtype="int32")
    return keras.Model(tensor, keras.Sequential([layer])(tensor))


SURROUNDINGS = {
    "sequential": lambda layer: keras.Sequential([layer]),
    "nested": lambda layer: keras.Sequential([keras.Sequential([layer])]),
    "behind a native layer": lambda layer: keras.Sequential([keras.layers.Flatten(), layer]),
    "deep": lambda layer: keras.Sequential(
        [keras.layers.Flatten(), keras.Sequential([keras.layers.Reshape((3,)), layer])]
    ),
    "subclassed": Within,
    "custom layer": lambda layer: keras.Sequential([Inside(layer)]),
    "time distributed": wrapped,
    "functional": functional,
}
MODULES = {"linen": Same(), "nnx": NnxSame}


def same(found, expected):
    found = np.asarray(found)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.law("A10")
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_tokens_stay_whole_in_every_surrounding(name, module):
    model = SURROUNDINGS[name](FlaxLayer(MODULES[module]))
    same(model(TOKENS), TOKENS)
    same(model.predict(TOKENS, verbose=0), TOKENS)


@pytest.mark.law("A10")
@pytest.mark.parametrize("built", [False, True], ids=["first", "second"])
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_layer_that_is_built_already_sees_tokens_whole(name, module, built):
    layer = FlaxLayer(MODULES[module])
    first = SURROUNDINGS[name](layer) if built else layer
    same(first(TOKENS[..., None] if name == "time distributed" and not built else TOKENS), TOKENS)
    model = SURROUNDINGS[name](layer)
    same(model(TOKENS), TOKENS)
    same(model.predict(TOKENS, verbose=0), TOKENS)


@pytest.mark.law("A10")
@pytest.mark.parametrize("name", ["sequential", "behind a native layer", "nested"])
def test_a_model_of_a_layer_that_is_built_has_its_dtype(name):
    layer = FlaxLayer(Same())
    layer(TOKENS)
    model = SURROUNDINGS[name](layer)
    model.build((None, 3))
    same(model(TOKENS), TOKENS)


@pytest.mark.law("A10")
@pytest.mark.parametrize("dtype", VALUES)
def test_an_unbuilt_sequential_model_keeps_every_dtype(dtype):
    model = keras.Sequential([FlaxLayer(Same())])
    same(model(VALUES[dtype]), VALUES[dtype])
    assert model.inputs[0].dtype == dtype
    by_name = keras.Sequential([FlaxLayer(Same())])
    same(by_name(inputs=VALUES[dtype]), VALUES[dtype])


@pytest.mark.law("A10")
@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_stays_half_in_a_wrapper_that_casts_nothing(autocast, built):
    layer, half = FlaxLayer(Same()), keras.ops.cast(VALUES["float16"][..., None], "float16")
    if built:
        layer(half[:, 0])
    found = keras.layers.TimeDistributed(layer, autocast=autocast)(half)
    native = keras.layers.TimeDistributed(keras.layers.Identity(autocast=False), autocast=autocast)
    dtypes = {keras.backend.standardize_dtype(array.dtype) for array in (found, native(half))}
    assert dtypes == {"float32" if autocast else "float16"}


@pytest.mark.law("A10")
@pytest.mark.parametrize("name", ["sequential", "behind a native layer", "nested"])
def test_a_model_that_was_built_from_a_shape_takes_the_dtype_of_its_first_call(name):
    model = SURROUNDINGS[name](FlaxLayer(Same()))
    model.build((None, 3))
    assert model.output_shape == (None, 3)
    same(model(TOKENS), TOKENS)
    assert model.inputs[0].dtype == "int32"
    same(model(TOKENS), TOKENS)


class CountingBuilder(LayerBuilder):
    builds = 0

    def build_for(self, inputs):
        self.builds += 1
        super().build_for(inputs)


class Counted(FlaxLayer):
    _builder_class = CountingBuilder

    @property
    def builds(self):
        return self._builder.builds


@pytest.mark.law("B6")
@pytest.mark.parametrize("inputs", [[keras.Input((4,))], []], ids=["given", "none"])
def test_layers_of_a_sequential_model_are_built_once_each(inputs):
    layers = [Counted(nn.Dense(3)) for _ in range(3)]
    model = keras.Sequential([*inputs, *layers])
    if not inputs:
        model.build((None, 4))
    assert [layer.builds for layer in layers] == [1, 1, 1]
    model(np.ones((2, 4), np.float32))
    assert sum(layer.builds for layer in layers) <= 3


@pytest.mark.law("A10")
def test_tokens_reach_a_second_layer_of_a_sequential_model_that_was_built_from_a_shape():
    model = keras.Sequential([FlaxLayer(Same()), FlaxLayer(Same()), FlaxLayer(nn.Embed(10, 4))])
    model.build((None, 3))
    assert model(TOKENS).shape == (*TOKENS.shape, 4)
    assert model.inputs[0].dtype == "int32"


@pytest.mark.law("A10")
def test_batches_of_a_generator_keep_their_dtype():
    model = keras.Sequential([FlaxLayer(Same())])
    same(model.predict(((TOKENS,) for _ in range(2)), steps=1, verbose=0), TOKENS)


@pytest.mark.law("A10")
def test_batches_of_tf_data_keep_their_dtype():
    tf = pytest.importorskip("tensorflow")
    model = keras.Sequential([FlaxLayer(Same())])
    same(model.predict(tf.data.Dataset.from_tensor_slices(TOKENS).batch(2), verbose=0), TOKENS)


@pytest.mark.law("A10")
@pytest.mark.parametrize("first", ["fit", "evaluate", "predict", "build"])
def test_a_token_model_runs_whatever_comes_first(first):
    tokens, targets = TOKENS[1:], np.ones((1, 2), np.float32)
    layers = [FlaxLayer(nn.Embed(10, 4)), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    if first == "build":
        model.build((None, 3))
        assert len(model.weights) == 3
    elif first == "predict":
        model.predict(tokens, verbose=0)
    else:
        getattr(model, first)(tokens, targets, verbose=0)
    before = np.asarray(layers[0].weights[0])
    model.fit(tokens, targets, verbose=0)
    assert np.abs(np.asarray(layers[0].weights[0]) - before)[1:4].min() > 0
    same(layers[0](tokens), np.asarray(layers[0].weights[0])[tokens])
