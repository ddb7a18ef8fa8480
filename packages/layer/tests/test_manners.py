"""The layer where one of Keras's own layers can stand, with the same outcome (A11)."""

import inspect

import flax.linen as nn
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import BuildModuleError

pytestmark = pytest.mark.law("A11")

IDS = np.array([[1, 2, 0], [3, 0, 0], [1, 2, 3]])
KERNEL = np.linspace(-1, 1, 9, dtype="float32").reshape(3, 3)
X = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")


def native(**settings):
    return keras.layers.Dense(3, **settings)


def of_linen(**settings):
    return FlaxLayer(nn.Dense(3), **settings)


def of_nnx(**settings):
    return FlaxLayer(nnx.Linear(3, 3, rngs=nnx.Rngs(0)), **settings)


MAKERS = (native, of_linen, of_nnx) if hasattr(nnx, "data") else (native, of_linen)


def outcomes(run):
    """What the native layer does, and each of ours."""
    found = []
    for make in MAKERS:
        keras.utils.set_random_seed(0)
        found.append(run(make))
    return found[0], found[1:]


def known(layer):
    for variable in layer.weights:
        if variable.path.endswith("kernel"):
            variable.assign(KERNEL)
    return layer


@pytest.mark.parametrize("method", [False, True])
def test_what_is_not_built_can_be_looked_at(method):
    layer = of_linen()
    looked = layer.method("__call__") if method else layer
    names = {name for name, _ in inspect.getmembers(looked)}
    assert {"name", "built", "weights"} <= names
    assert not hasattr(looked, "discovery")
    assert not hasattr(looked, "_flax_weights")
    with pytest.raises(BuildModuleError, match="not built"):
        layer.flax_variables()
    layer.build((None, 3))
    assert hasattr(layer, "discovery")


def test_losses_of_activity_are_those_of_a_native_layer():
    def run(make):
        layer = make(activity_regularizer="l2")
        layer(X)
        known(layer)(X)
        return [float(np.asarray(loss)) for loss in layer.losses]

    expected, ours = outcomes(run)
    for found in ours:
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_freezing_before_and_after_the_build_counts_the_same_weights():
    def run(make):
        first, second = make(trainable=False), make()
        first(X)
        frozen = len(first.trainable_weights), len(first.non_trainable_weights)
        first.trainable = True
        second(X)
        second.trainable = False
        return frozen, len(first.trainable_weights), len(second.trainable_weights)

    expected, ours = outcomes(run)
    assert all(found == expected for found in ours)


def test_an_input_specification_is_kept_by_keras():
    for make in MAKERS:
        layer = make()
        layer.input_spec = keras.layers.InputSpec(ndim=2)
        with pytest.raises(ValueError, match="expected ndim=2"):
            layer(np.ones((2, 3, 3), "float32"))


def test_a_model_says_the_same_of_its_layers():
    def run(make):
        inputs = keras.Input((3,))
        inner = keras.Sequential([make(name="a"), make(name="b")], name="s")
        model, lines = keras.Model(inputs, inner(inputs), name="m"), []
        model.summary(expand_nested=True, print_fn=lines.append)
        layer = make()
        tensor = layer(inputs)
        assert layer.input is inputs
        assert layer.output is tensor
        text = "\n".join(lines).replace("FlaxLayer", "Dense").replace("\u2500", "")
        return [line.split() for line in text.splitlines() if "input_layer" not in line]

    expected, ours = outcomes(run)
    assert all(found == expected for found in ours)


def masked_surroundings(make, kind):
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(IDS)
    layer = make()
    if kind == "masking":
        return layer(keras.layers.Masking()(embedded))
    if kind == "dropout":
        return keras.layers.Dropout(0.5)(layer(embedded))
    if kind == "concatenate":
        return keras.layers.Concatenate()([layer(embedded), make()(embedded)])
    if kind == "add":
        return keras.layers.Add()([layer(embedded), make()(np.ones((3, 3, 3), "float32"))])
    if kind == "steps":
        return keras.layers.TimeDistributed(layer)(embedded)
    if kind == "sequential":
        return keras.Sequential([layer, make()])(embedded)
    if kind == "nested":
        inputs = keras.Input((3, 3))
        inner = keras.Model(inputs, layer(inputs))
        return inner(embedded, mask=embedded._keras_mask)
    return keras.layers.Lambda(lambda x, mask=None: x * 2)(layer(embedded))


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
@pytest.mark.parametrize(
    "kind",
    ["masking", "dropout", "concatenate", "add", "steps", "sequential", "nested", "lambda"],
)
def test_masks_come_and_go_as_with_a_native_layer(kind):
    def run(make):
        mask = getattr(masked_surroundings(make, kind), "_keras_mask", None)
        return None if mask is None else np.asarray(mask).tolist()

    expected, ours = outcomes(run)
    assert all(found == expected for found in ours)


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
def test_a_mask_given_to_a_sequential_model_reaches_what_takes_one():
    x, mask = np.ones((2, 3, 3), "float32"), np.array([[True, True, False], [True, False, False]])
    for make in MAKERS:
        assert keras.Sequential([make(), make()])(x, mask=mask).shape == (2, 3, 3)
