"""What TensorFlow traces is Keras's own export, but for what it cannot say (S4)."""

import flax.linen as nn
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.exports.traced_by_tensorflow import TensorFlowExporter
from flaxlayer_core import ExportModelError
from packages.layer.tests.exports.counting import Counts

tf = pytest.importorskip("tensorflow")
pytestmark = [pytest.mark.slow, pytest.mark.law("S4")]

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(3, 2)
SPECS = [tf.TensorSpec((None, 2), "float32")]


@pytest.fixture
def endpoints():
    return TensorFlowExporter().endpoints(keras.export.ExportArchive())


@pytest.fixture
def layer():
    layer = FlaxLayer(Counts())
    layer.build((None, 2))
    return layer


@pytest.mark.law("K2")
def test_platforms_of_an_endpoint_are_refused(endpoints, layer):
    endpoints.track(layer)
    with pytest.raises(ExportModelError) as caught:
        endpoints.add("serve", layer, SPECS, is_static=True, platforms=("cpu", "cuda"))
    assert caught.value.found == "native_serialization_platforms=('cpu', 'cuda')"
    assert "Give it to FlaxLayer" in caught.value.fix


@pytest.mark.parametrize("is_static", [True, False], ids=["static", "moving"])
def test_state_moves_where_an_endpoint_is_not_static(is_static, endpoints, layer):
    endpoints.track(layer)
    endpoint = endpoints.add("serve", layer, SPECS, is_static=is_static, platforms=None)
    first = endpoint(tf.constant(X))
    second = endpoint(tf.constant(X))
    step = 0.0 if is_static else 1.0
    np.testing.assert_allclose(second - first, np.full((3, 2), step), rtol=1e-6)
    expected = nn.Dense(2).apply({"params": layer.flax_variables()["params"]["Dense_0"]}, X)
    moved = 1.0 if is_static else 2.0
    np.testing.assert_allclose(second, expected + moved, rtol=1e-6)


def test_a_layer_is_tracked_once(endpoints, layer):
    other = FlaxLayer(nn.Dense(2))
    other.build((None, 2))
    for each in (layer, layer, other):
        endpoints.track(each)
    tracked = endpoints._archive.variables
    assert len(tracked) == len(layer.variables) + len(other.variables)
