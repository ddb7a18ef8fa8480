"""What JAX traces is lowered into an archive, with a TensorFlow variable for each of Keras (S4)."""

import flax.linen as nn
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.exports.traced_by_jax import JaxExporter
from packages.layer.tests.exports.counting import Counts

tensorflow = pytest.importorskip("tensorflow")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.law("S4"),
    pytest.mark.jax_only("TensorFlow traces there"),
]

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(3, 2)
SPECS = [tensorflow.TensorSpec((None, 2), "float32")]


@pytest.fixture
def archive():
    return keras.export.ExportArchive()


@pytest.fixture
def endpoints(archive):
    return JaxExporter().endpoints(archive)


def _platforms(function):
    calls = function.get_concrete_function(*SPECS).graph.get_operations()
    return [call.get_attr("platforms") for call in calls if call.type == "XlaCallModule"]


def test_each_variable_is_held_once_under_its_path(archive, endpoints):
    layer = FlaxLayer(Counts(), name="counts")
    layer(X)
    endpoints.track(layer)
    endpoints.track(layer)
    held = {v.name.removesuffix(":0"): v.trainable for v in archive._tf_trackable.variables}
    assert held == {v.path: v.trainable for v in layer.variables}
    for variable, ours in zip(archive._tf_trackable.variables, layer.variables, strict=True):
        np.testing.assert_array_equal(variable, ours.numpy())


@pytest.mark.parametrize(
    ("platforms", "lowered"),
    [(None, [[b"CPU"]]), (("cpu", "cuda"), [[b"CPU", b"CUDA"]])],
    ids=["none said", "two"],
)
def test_an_endpoint_is_lowered_for_the_platforms_that_it_is_given(platforms, lowered, endpoints):
    layer = FlaxLayer(nn.Dense(2))
    layer(X)
    endpoints.track(layer)
    endpoint = endpoints.add("serve", layer, SPECS, is_static=True, platforms=platforms)
    assert _platforms(endpoint) == lowered
    expected = nn.Dense(2).apply(layer.flax_variables(), X)
    np.testing.assert_allclose(endpoint(X), expected, rtol=1e-6)


@pytest.mark.parametrize("is_static", [True, False], ids=["static", "moving"])
def test_state_moves_where_an_endpoint_is_not_static(is_static, archive, endpoints):
    layer = FlaxLayer(Counts())
    layer.build((None, 2))
    endpoints.track(layer)
    endpoint = endpoints.add("serve", layer, SPECS, is_static=is_static, platforms=None)
    first = endpoint(tensorflow.constant(X))
    second = endpoint(tensorflow.constant(X))
    step = 0.0 if is_static else 1.0
    np.testing.assert_allclose(second - first, np.full((3, 2), step), rtol=1e-6)
