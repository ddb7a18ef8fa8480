"""Exported models are served where there is TensorFlow and nothing else of this (S4)."""

import subprocess
import sys

import flax.linen as nn
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer

pytestmark = pytest.mark.law("S4")

# Runs the endpoint of an artefact on arrays, with no JAX, Flax or Keras to import.
SERVE = """
import sys
import numpy as np

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {"jax", "jaxlib", "flax", "keras", "flaxlayer"}:
            return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
import tensorflow as tf

folder, endpoint = sys.argv[1:3]
loaded = tf.saved_model.load(folder + "/model")
given = np.load(folder + "/inputs.npz")
arrays = [tf.constant(given[name]) for name in sorted(given.files)]
for _ in range(2):
    result = tf.nest.flatten(getattr(loaded, endpoint)(*arrays))
np.savez(folder + "/results.npz", *[tensor.numpy() for tensor in result])
print(len(loaded.variables), sum(v.trainable for v in loaded.variables))
assert "jax" not in sys.modules and "keras" not in sys.modules
"""


def serve(folder, endpoint, *arrays):
    np.savez(folder / "inputs.npz", *arrays)
    command = [sys.executable, "-c", SERVE, str(folder), endpoint]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    results = np.load(folder / "results.npz")
    return [results[name] for name in results.files], done.stdout.split()


class Images(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.gelu(nn.Conv(4, (3, 3), strides=2)(x), approximate=False)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        return nn.Dense(3)(x.mean((1, 2)))


def test_a_trained_model_serves_any_size_with_its_variables(tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 1)).astype(np.float32)
    tensor = keras.Input((None, None, 1))
    layer = FlaxLayer(Images())
    model = keras.Model(tensor, layer(tensor))
    model.compile("adam", "mse")
    model.fit(x, np.ones((8, 3), np.float32), epochs=2, verbose=0)
    model.export(tmp_path / "model", verbose=False)
    other = np.random.default_rng(1).normal(size=(2, 9, 7, 1)).astype(np.float32)
    (served,), counts = serve(tmp_path, "serve", other)
    expected = Images().apply(layer.flax_variables(), other)
    np.testing.assert_allclose(served, expected, rtol=1e-5, atol=1e-6)
    assert int(counts[0]) >= len(layer.weights)
    assert int(counts[1]) == len(layer.trainable_weights)


class Pair(nn.Module):
    @nn.compact
    def __call__(self, tokens, x):
        y = nn.Embed(11, 4)(tokens).mean(1) + nn.Dense(4)(x)
        return {"sum": y, "count": tokens.shape[1] + jnp.sum(tokens > 0, axis=1)}


def test_several_inputs_and_outputs_are_served(tmp_path):
    tokens, x = keras.Input((None,), dtype="int32"), keras.Input((5,))
    layer = FlaxLayer(Pair())
    model = keras.Model([tokens, x], layer(tokens, x))
    model.export(tmp_path / "model", verbose=False)
    given = (
        np.arange(12, dtype=np.int32).reshape(3, 4) % 11,
        np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32),
    )
    expected = Pair().apply(layer.flax_variables(), *given)
    script = SERVE.replace("(*arrays))", "(arrays))")
    assert script != SERVE
    np.savez(tmp_path / "inputs.npz", *given)
    command = [sys.executable, "-c", script, str(tmp_path), "serve"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    results = np.load(tmp_path / "results.npz")
    found = {results[name].dtype.kind: results[name] for name in results.files}
    np.testing.assert_allclose(found["f"], expected["sum"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["i"], expected["count"])


class Coder(nn.Module):
    def setup(self):
        self.inner, self.outer = nn.Dense(2), nn.Dense(5)

    def __call__(self, x):
        return self.decode(self.encode(x))

    def encode(self, x):
        return self.inner(x)

    def decode(self, z):
        return self.outer(z)


def test_methods_are_endpoints(tmp_path):
    layer = FlaxLayer(Coder())
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    layer(x)
    encode, decode = layer.method("encode"), layer.method("decode")
    encode(x), decode(np.ones((1, 2), np.float32))
    archive = keras.export.ExportArchive()
    archive.track(layer)
    for name, method, width in (("encode", encode, 5), ("decode", decode, 2)):
        signature = [keras.InputSpec(shape=(None, width), dtype="float32")]
        archive.add_endpoint(name, method, input_signature=signature)
    archive.write_out(tmp_path / "model", verbose=False)
    variables = layer.flax_variables()
    (code,), _ = serve(tmp_path, "encode", x)
    np.testing.assert_allclose(code, Coder().apply(variables, x, method="encode"), rtol=1e-5)
    (back,), _ = serve(tmp_path, "decode", code)
    expected = Coder().apply(variables, code, method="decode")
    np.testing.assert_allclose(back, expected, rtol=1e-5, atol=1e-6)


class Counts(nn.Module):
    """Changes its state at inference."""

    @nn.compact
    def __call__(self, x):
        count = self.variable("cache", "n", lambda: jnp.zeros((), jnp.int32))
        if not self.is_initializing():
            count.value += 1
        return x + count.value


@pytest.mark.parametrize(("updates", "second"), [("always", 3.0), ("training", 1.0)])
def test_state_is_kept_in_the_artefact_or_frozen(updates, second, tmp_path):
    model = keras.Sequential([keras.Input((2,)), FlaxLayer(Counts(), state_updates=updates)])
    x = np.zeros((1, 2), np.float32)
    model(x)  # makes the count 1 where state is kept
    model.export(tmp_path / "model", verbose=False)
    (served,), _ = serve(tmp_path, "serve", x)
    np.testing.assert_array_equal(served, np.full((1, 2), second, np.float32))
