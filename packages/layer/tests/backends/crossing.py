"""What the tests of backends other than JAX share about files: both ways, dtypes kept."""

import os
import subprocess
import sys

import flax.linen as nn
import jax
import keras
import numpy as np

import flaxlayer
from flaxlayer import FlaxLayer

# In a process on another backend: loads what this one saved, and saves what this one loads.
ELSEWHERE = """
import sys
import flax.linen as nn
import flaxlayer
import keras
import numpy as np

@flaxlayer.register(package="crossing")
class Net(nn.Module):
    width: int = 8

    @nn.compact
    def __call__(self, tokens, train=False):
        x = nn.Embed(11, self.width)(tokens)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        return nn.Dense(3)(nn.Dropout(0.3, deterministic=not train)(x)).mean(1)


def make():
    tensor = keras.Input((None,), dtype="int32")
    return keras.Sequential([tensor, flaxlayer.FlaxLayer(Net(), seed=3)])


def train(model, folder):
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(tokens, np.ones((8, 3), np.float32), batch_size=8, shuffle=False, verbose=0)
    model.save(folder + "/model.keras")
    model.save_weights(folder + "/model.weights.h5")
    np.save(folder + "/outputs.npy", keras.ops.convert_to_numpy(model(tokens)))


def check(folder):
    fresh = make()
    fresh.load_weights(folder + "/model.weights.h5")
    for model in (fresh, keras.models.load_model(folder + "/model.keras")):
        expected = np.load(folder + "/outputs.npy")
        found = keras.ops.convert_to_numpy(model(tokens))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


tokens = np.arange(48, dtype=np.int32).reshape(8, 6) % 11
if __name__ == "__main__":
    check(sys.argv[1])
    train(make(), sys.argv[2])
"""


def cross(folder_of_all, backend, other="jax"):
    """Trains here and on another backend, and loads there and here what the other saved."""
    here: dict = {"__name__": "crossing"}
    exec(ELSEWHERE, here)
    folders = [folder_of_all / backend, folder_of_all / other]
    for folder in folders:
        folder.mkdir()
    here["train"](here["make"](), str(folders[0]))
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *map(str, folders)],
        env={**os.environ, "KERAS_BACKEND": other},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    here["check"](str(folders[1]))
    # Both trained from the same seed: the same initial values and the same keys.
    left, right = (np.load(folder / "outputs.npy") for folder in folders)
    np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


@flaxlayer.register(package="crossing")
class Halves(nn.Module):
    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.normal(), (4, 2), jax.numpy.bfloat16)
        count = self.variable("state", "count", lambda: jax.numpy.zeros((), jax.numpy.int32))
        count.value = count.value + 1
        return x @ kernel


def keep_dtypes(folder):
    """Saves and loads weights of bfloat16 and int32."""
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(Halves())])
    x = np.ones((3, 4), np.float32)
    expected = np.asarray(model(x))
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    variables = loaded.layers[0].flax_variables()
    assert variables["params"]["kernel"].dtype == jax.numpy.bfloat16
    assert variables["state"]["count"].dtype == np.int32
    np.testing.assert_array_equal(np.asarray(loaded(x)), expected)
