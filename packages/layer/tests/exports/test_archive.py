"""Archives of SavedModels have the variables and endpoints that they are given (S4)."""

import sys

import flax.linen as nn
import keras
import numpy as np
import pytest

from flaxlayer import ExportArchive, FlaxLayer
from flaxlayer_core import BuildModuleError, ExportModelError, ImportExtraError
from packages.layer.tests.exports.refused import REFUSED_ON_TORCH

tensorflow = pytest.importorskip("tensorflow")
pytestmark = [pytest.mark.slow, pytest.mark.law("S4"), REFUSED_ON_TORCH]


class Images(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(3, (3, 3))(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dense(2)(nn.relu(x).mean(axis=(1, 2)))


def images(batch, height, width):
    return np.random.default_rng(batch).normal(size=(batch, height, width, 1)).astype(np.float32)


def test_an_archive_lists_its_variables_and_takes_built_layers_alone():
    layer, archive = FlaxLayer(Images()), ExportArchive()
    with pytest.raises(BuildModuleError, match="before it is built"):
        archive.track(layer)
    layer.build((None, 6, 6, 1))
    archive.track(layer)
    archive.track(layer)
    named_by_path = keras.backend.backend() == "jax"
    names = [v.path if named_by_path else v.name for v in layer.trainable_variables]
    assert [v.name.removesuffix(":0") for v in archive.trainable_variables] == names
    assert len(archive.variables) == len(layer.variables)
    assert len(archive.non_trainable_variables) == len(layer.variables) - len(names)


def test_a_collection_of_variables_is_served(tmp_path):
    layer, archive = FlaxLayer(Images()), ExportArchive()
    layer.build((None, 6, 6, 1))
    archive.track_and_add_endpoint("serve", layer, [images(1, 6, 6)])
    archive.add_variable_collection("weights", layer.trainable_variables)
    archive.write_out(tmp_path / "model", verbose=False)
    loaded = tensorflow.saved_model.load(tmp_path / "model")
    for found, variable in zip(loaded.weights, layer.trainable_variables, strict=True):
        np.testing.assert_array_equal(found, variable.numpy())


def test_a_function_of_tensorflow_is_an_endpoint_as_it_is(tmp_path):
    archive = ExportArchive()
    function = tensorflow.function(lambda x: 2 * x)
    function(tensorflow.ones(2))
    archive.add_endpoint("double", function)
    archive.write_out(tmp_path / "model", verbose=False)
    loaded = tensorflow.saved_model.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.double(tensorflow.ones(2)), [2.0, 2.0])


def test_a_signature_without_a_shape_is_refused():
    layer, archive = FlaxLayer(Images()), ExportArchive()
    with pytest.raises(ExportModelError, match="signature"):
        archive.add_endpoint("serve", layer, [keras.InputSpec(ndim=4)])


def test_a_missing_tensorflow_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportExtraError, match=r"flaxlayer\[tensorflow\]"):
        ExportArchive()
