"""Exports on the JAX backend serve any batch and any unknown size, or are refused by name (S4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, export
from flaxlayer_core import ExportModelError, LowerModuleError
from packages.layer.tests.exports.refused import REFUSED_ON_TORCH

tensorflow = pytest.importorskip("tensorflow")
pytestmark = [pytest.mark.slow, pytest.mark.law("S4"), REFUSED_ON_TORCH]


class Images(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(3, (3, 3))(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        x = nn.Dropout(0.5, deterministic=not train)(nn.relu(x))
        return nn.Dense(2)(x.mean(axis=(1, 2)))


class Sequences(nn.Module):
    @nn.compact
    def __call__(self, tokens, train=False):
        x = nn.Embed(11, 4)(tokens)
        x = nn.MultiHeadDotProductAttention(2, deterministic=not train, dropout_rate=0.2)(x)
        return nn.Dense(2)(x)


def served(model, folder):
    export(model, folder, verbose=False)
    return tensorflow.saved_model.load(folder)


def images(batch, height, width):
    return np.random.default_rng(batch).normal(size=(batch, height, width, 1)).astype(np.float32)


def test_an_unknown_batch_and_unknown_spatial_sizes_are_served(tmp_path):
    tensor = keras.Input((None, None, 1))
    model = keras.Model(tensor, FlaxLayer(Images())(tensor))
    artifact = served(model, str(tmp_path / "model"))
    for batch, height, width in [(1, 8, 8), (3, 8, 8), (2, 6, 10)]:
        x = images(batch, height, width)
        expected = model.predict(x, verbose=0)
        np.testing.assert_allclose(artifact.serve(x), expected, rtol=1e-5, atol=1e-6)


def test_an_unknown_sequence_length_of_integer_tokens_is_served(tmp_path):
    tensor = keras.Input((None,), dtype="int32")
    model = keras.Model(tensor, FlaxLayer(Sequences())(tensor))
    artifact = served(model, str(tmp_path / "model"))
    for batch, length in [(1, 3), (2, 7)]:
        x = np.arange(batch * length, dtype=np.int32).reshape(batch, length) % 11
        expected = model.predict(x, verbose=0)
        np.testing.assert_allclose(artifact.serve(x), expected, rtol=1e-5, atol=1e-6)


def test_a_loaded_model_is_exported_too(tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 1)), FlaxLayer(Images())])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    artifact = served(loaded, str(tmp_path / "model"))
    x = images(2, 6, 6)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(artifact.serve(x), expected, rtol=1e-5, atol=1e-6)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.images = FlaxLayer(Images())
        self.head = keras.layers.Dense(3)

    def call(self, x):
        return self.head(self.images(x))


def test_a_subclassed_model_with_layers_of_keras_is_served(tmp_path):
    model, x = Subclassed(), images(2, 6, 6)
    model(x)
    artifact = served(model, str(tmp_path / "model"))
    kernel, bias = model.head.get_weights()
    expected = Images().apply(model.images.flax_variables(), x) @ kernel + bias
    np.testing.assert_allclose(artifact.serve(x), expected, rtol=1e-5, atol=1e-6)


class Applies(nn.Module):
    function: object

    @nn.compact
    def __call__(self, x):
        return self.function(nn.Dense(3)(x))


def doubled_in_python(x):
    return jax.pure_callback(lambda array: 2 * array, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


@pytest.mark.parametrize(
    ("function", "name"),
    [(lambda x: jnp.linalg.eig(x)[0].real, "eev"), (doubled_in_python, "pure_callback")],
    ids=["eig", "callback"],
)
def test_what_tensorflow_cannot_run_is_named(function, name, tmp_path):
    def export_it():
        model = keras.Sequential([keras.Input((3, 3), batch_size=2), FlaxLayer(Applies(function))])
        export(model, tmp_path / "model")

    with pytest.raises(LowerModuleError, match=name):
        export_it()


@pytest.mark.jax_only("on TensorFlow such a model cannot be called either")
def test_a_module_that_needs_sizes_is_exported_for_known_sizes_alone(tmp_path):
    def divide(x):
        return x / int(x.shape[0])

    model = keras.Sequential([keras.Input((2,)), FlaxLayer(Applies(divide))])
    with pytest.raises(ExportModelError, match=r"float32\[\?,2\]"):
        export(model, tmp_path / "model")
    signature = [keras.InputSpec(shape=(4, 2), dtype="float32")]
    export(model, tmp_path / "model", input_signature=signature, verbose=False)
    x = np.ones((4, 2), np.float32)
    expected = Applies(divide).apply(model.layers[0].flax_variables(), x)
    loaded = tensorflow.saved_model.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.serve(x), expected, rtol=1e-6)


@pytest.mark.parametrize(("verbose", "lines"), [(None, 1), (True, 1), (False, 0)])
def test_what_was_written_is_said(verbose, lines, tmp_path, capsys):
    model = keras.Sequential([keras.Input((3,)), FlaxLayer(nn.Dense(2))])
    export(model, tmp_path / "model", verbose=verbose)
    said = capsys.readouterr().out.splitlines()
    assert said == [f"Saved artifact at '{tmp_path / 'model'}'."] * lines
