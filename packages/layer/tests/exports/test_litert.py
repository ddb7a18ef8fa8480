"""LiteRT files are written, or it is said what LiteRT lacks (S4)."""

import flax.linen as nn
import jax.numpy as jnp
import keras
import pytest

from flaxlayer import FlaxLayer, export
from flaxlayer_core import ExportModelError
from packages.layer.tests.exports.refused import REFUSED_ON_TORCH

pytest.importorskip("tensorflow")
pytestmark = [pytest.mark.slow, pytest.mark.law("S4"), REFUSED_ON_TORCH]


class Largest(nn.Module):
    @nn.compact
    def __call__(self, x):
        return jnp.argmax(nn.Dense(3)(x), -1)


def test_what_litert_does_not_have_is_named(tmp_path):
    model = keras.Sequential([keras.Input((2,)), FlaxLayer(Largest())])
    with pytest.raises(ExportModelError, match=r"LiteRT(.|\n)*mhlo\.reduce"):
        export(model, tmp_path / "model.tflite", format="litert")
    assert not list(tmp_path.iterdir())


def test_another_option_or_ending_of_a_litert_file_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), FlaxLayer(nn.Dense(2))])
    with pytest.raises(ExportModelError, match=r"ends with \.tflite"):
        export(model, tmp_path / "model.lite", format="litert")
    with pytest.raises(ExportModelError, match="optimisation"):
        export(model, tmp_path / "model.tflite", format="litert", optimisation=1)
