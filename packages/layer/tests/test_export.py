"""`model.export` gives a SavedModel that serves any batch and any unknown size (S4)."""

import flax.linen as nn
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer

pytestmark = pytest.mark.law("S4")


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


class Counts(nn.Module):
    """Changes its state at inference too."""

    @nn.compact
    def __call__(self, x):
        count = self.variable("counts", "n", lambda: jnp.zeros((), jnp.int32))
        if not self.is_initializing():
            count.value += 1
        return x + 0.0 * count.value


def served(model, folder):
    tensorflow = pytest.importorskip("tensorflow")
    model.export(folder, verbose=False)
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


def test_a_trained_model_is_served_with_its_state(tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 1)), FlaxLayer(Images())])
    model.compile("sgd", "mse")
    model.fit(images(8, 6, 6) + 3.0, np.zeros((8, 2), np.float32), epochs=2, verbose=0)
    artifact = served(model, str(tmp_path / "model"))
    x = images(2, 6, 6) + 3.0
    expected = Images().apply(model.layers[0].flax_variables(), x)
    np.testing.assert_allclose(artifact.serve(x), expected, rtol=1e-5, atol=1e-6)


def test_state_that_inference_changes_does_not_stop_the_export(tmp_path):
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(Counts())])
    artifact = served(model, str(tmp_path / "model"))
    x = np.ones((3, 4), np.float32)
    np.testing.assert_allclose(artifact.serve(x), x)


def test_a_loaded_model_is_exported_too(tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 1)), FlaxLayer(Images())])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    artifact = served(loaded, str(tmp_path / "model"))
    x = images(2, 6, 6)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(artifact.serve(x), expected, rtol=1e-5, atol=1e-6)
