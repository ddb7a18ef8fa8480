"""Files know no backend: what one saves the other loads (S4, W3, K1)."""

import os
import subprocess
import sys

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest

import flaxlayer
from flaxlayer import FlaxLayer

pytestmark = pytest.mark.law("K1")

MODULE = """
import flax.linen as nn
import flaxlayer

@flaxlayer.register(package="crossing")
class Net(nn.Module):
    width: int = 8

    @nn.compact
    def __call__(self, tokens, train=False):
        x = nn.Embed(11, self.width)(tokens)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        return nn.Dense(3)(nn.Dropout(0.3, deterministic=not train)(x)).mean(1)
"""
TRAIN = """
import sys
import keras, numpy as np
from flaxlayer import FlaxLayer

tokens = np.arange(48, dtype=np.int32).reshape(8, 6) % 11
folder = sys.argv[1]
model = keras.Sequential([keras.Input((None,), dtype="int32"), FlaxLayer(Net(), seed=3)])
model.compile("adam", "mse")
model.fit(tokens, np.ones((8, 3), np.float32), batch_size=4, verbose=0)
model.save(folder + "/model.keras")
model.save_weights(folder + "/model.weights.h5")
np.save(folder + "/outputs.npy", model.predict(tokens, verbose=0))
"""
LOAD = """
import sys
import keras, numpy as np
from flaxlayer import FlaxLayer

tokens = np.arange(48, dtype=np.int32).reshape(8, 6) % 11
folder = sys.argv[1]
model = keras.models.load_model(folder + "/model.keras")
fresh = keras.Sequential([keras.Input((None,), dtype="int32"), FlaxLayer(Net())])
fresh.load_weights(folder + "/model.weights.h5")
for each in (model, fresh):
    found = each.predict(tokens, verbose=0)
    np.testing.assert_allclose(found, np.load(folder + "/outputs.npy"), rtol=1e-5, atol=1e-6)
model.fit(tokens, np.ones((8, 3), np.float32), batch_size=4, verbose=0)
"""


def run(script, backend, folder):
    environment = {**os.environ, "KERAS_BACKEND": backend}
    command = [sys.executable, "-c", MODULE + script, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("writer", "reader"), [("tensorflow", "jax"), ("jax", "tensorflow")], ids=lambda name: name
)
def test_a_trained_model_goes_to_the_other_backend(writer, reader, tmp_path):
    run(TRAIN, writer, tmp_path)
    run(LOAD, reader, tmp_path)


@flaxlayer.register(package="crossing")
class Halves(nn.Module):
    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.normal(), (4, 2), jax.numpy.bfloat16)
        count = self.variable("state", "count", lambda: jax.numpy.zeros((), jax.numpy.int32))
        count.value = count.value + 1
        return x @ kernel


def test_weights_keep_their_dtypes_in_a_file(tmp_path):
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(Halves())])
    x = np.ones((3, 4), np.float32)
    expected = np.asarray(model(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    variables = loaded.layers[0].flax_variables()
    assert variables["params"]["kernel"].dtype == jax.numpy.bfloat16
    assert variables["state"]["count"].dtype == np.int32
    np.testing.assert_array_equal(np.asarray(loaded(x)), expected)
