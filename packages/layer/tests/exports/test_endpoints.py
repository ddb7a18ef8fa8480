"""Exported models are served where there is TensorFlow and nothing else of this (S4).

On the JAX backend, and on TensorFlow by `backends/test_tensorflow.py`.
"""

import functools
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import traverse_util

from flaxlayer import ExportArchive, FlaxLayer, export
from packages.layer.tests.exports.refused import REFUSED_ON_TORCH

pytest.importorskip("tensorflow")
pytestmark = [pytest.mark.slow, pytest.mark.law("S4"), REFUSED_ON_TORCH]

# Serves artefacts with no JAX, Flax or Keras to import.
SERVE = """
import pathlib
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

def call(endpoint, arrays):
    # A model takes several inputs as one list.
    return endpoint(arrays) if inputs.stem == "serve" and arrays[1:] else endpoint(*arrays)

for inputs in sorted(pathlib.Path(sys.argv[1]).glob("*/*.npz")):
    if inputs.stem == "inputs":
        continue
    loaded = tf.saved_model.load(str(inputs.parent / "model"))
    given = np.load(inputs)
    arrays = [tf.constant(given[name]) for name in sorted(given.files)]
    endpoint = getattr(loaded, inputs.stem)
    for _ in range(2):
        results = call(endpoint, arrays)
    if (inputs.parent / "gradients").exists():
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(call(endpoint, arrays))
        gradients = tape.gradient(total, loaded.trainable_variables)
        np.savez(inputs.with_suffix(".gradients"), *(g.numpy() for g in gradients))
    unique = {id(variable): variable for variable in loaded.variables}.values()
    variables = [len(unique), sum(variable.trainable for variable in unique)]
    results = [tensor.numpy() for tensor in tf.nest.flatten(results)]
    np.savez(inputs.with_suffix(".results"), variables, *results)
for inputs in sorted(pathlib.Path(sys.argv[1]).glob("*/inputs.npz")):
    given = dict(np.load(inputs))
    interpreter = tf.lite.Interpreter(model_path=str(inputs.parent / "model.tflite"))
    results = interpreter.get_signature_runner("serving_default")(**given)
    np.savez(inputs.with_name("litert.results.npz"), 0, *results.values())
assert not {"jax", "keras", "flax", "flaxlayer"} & set(sys.modules)
"""


class Ours:
    """Writes with `flaxlayer.export` and `flaxlayer.ExportArchive`."""

    Archive = ExportArchive
    write = staticmethod(functools.partial(export, verbose=False))


class Keras:
    """Writes with `Model.export` and `keras.export.ExportArchive`."""

    Archive = keras.export.ExportArchive

    @staticmethod
    def write(model, path):
        model.export(path, verbose=False)


def save_inputs(folder, endpoint, *arrays):
    np.savez(folder / f"{endpoint}.npz", *arrays)


def read_results(folder, endpoint):
    stored = np.load(folder / f"{endpoint}.results.npz")
    variables, *results = (stored[name] for name in stored.files)
    return results, variables


class Images(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.gelu(nn.Conv(4, (3, 3), strides=2)(x), approximate=False)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        return nn.Dense(3)(x.mean((1, 2)))


def export_a_trained_model(folder, by=Ours):
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 1)).astype(np.float32)
    tensor = keras.Input((None, None, 1))
    layer = FlaxLayer(Images())
    model = keras.Model(tensor, layer(tensor))
    model.compile("adam", "mse")
    model.fit(x, np.ones((8, 3), np.float32), epochs=2, verbose=0)
    by.write(model, folder / "model")
    other = np.random.default_rng(1).normal(size=(2, 9, 7, 1)).astype(np.float32)
    save_inputs(folder, "serve", other)
    (folder / "gradients").touch()

    def raw_gradients():
        variables = layer.flax_variables()
        state = {"batch_stats": variables["batch_stats"]}
        total = jax.grad(lambda p: Images().apply({"params": p, **state}, other).sum())
        return traverse_util.flatten_dict(total(variables["params"]), sep="/")

    def check():
        (served,), (count, trainable) = read_results(folder, "serve")
        expected = Images().apply(layer.flax_variables(), other)
        np.testing.assert_allclose(served, expected, rtol=1e-5, atol=1e-6)
        assert count >= len(layer.weights)
        assert trainable == len(layer.trainable_weights)
        gradients = np.load(folder / "serve.gradients.npz")
        expected = raw_gradients()
        for variable, name in zip(layer.trainable_variables, gradients.files, strict=True):
            path = variable.path.partition("/params/")[2]
            np.testing.assert_allclose(gradients[name], expected[path], rtol=1e-5, atol=1e-5)

    return check


class Pair(nn.Module):
    @nn.compact
    def __call__(self, tokens, x):
        y = nn.Embed(11, 4)(tokens).mean(1) + nn.Dense(4)(x)
        return {"sum": y, "count": tokens.shape[1] + jnp.sum(tokens > 0, axis=1)}


def export_several_inputs_and_outputs(folder, by=Ours):
    tokens, x = keras.Input((None,), dtype="int32"), keras.Input((5,))
    layer = FlaxLayer(Pair())
    model = keras.Model([tokens, x], layer(tokens, x))
    by.write(model, folder / "model")
    given = (
        np.arange(12, dtype=np.int32).reshape(3, 4) % 11,
        np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32),
    )
    save_inputs(folder, "serve", *given)

    def check():
        results, _ = read_results(folder, "serve")
        expected = Pair().apply(layer.flax_variables(), *given)
        found = {result.dtype.kind: result for result in results}
        np.testing.assert_allclose(found["f"], expected["sum"], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found["i"], expected["count"])

    return check


class Coder(nn.Module):
    def setup(self):
        self.inner, self.outer = nn.Dense(2), nn.Dense(5)

    def __call__(self, x):
        return self.decode(self.encode(x))

    def encode(self, x):
        return self.inner(x)

    def decode(self, z):
        return self.outer(z)


def export_methods_as_endpoints(folder, by=Ours):
    layer = FlaxLayer(Coder())
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    z = x[:, :2]
    layer(x)
    archive = by.Archive()
    archive.track(layer)
    for name, given in (("encode", x), ("decode", z)):
        method = layer.method(name)
        method(given)
        if by is Ours:
            archive.track(method)  # the same variables, which Keras takes for others
        signature = [keras.InputSpec(shape=(None, given.shape[1]), dtype="float32")]
        archive.add_endpoint(name, method, input_signature=signature)
        save_inputs(folder, name, given)
    archive.write_out(folder / "model", verbose=False)

    def check():
        for name, given in (("encode", x), ("decode", z)):
            (served,), (count, _) = read_results(folder, name)
            assert count == len(layer.variables)
            expected = Coder().apply(layer.flax_variables(), given, method=name)
            np.testing.assert_allclose(served, expected, rtol=1e-5, atol=1e-6)

    return check


class Counts(nn.Module):
    """Changes its state at inference."""

    @nn.compact
    def __call__(self, x):
        count = self.variable("cache", "n", lambda: jnp.zeros((), jnp.int32))
        if not self.is_initializing():
            count.value += 1
        return x + count.value


def export_state(folder, updates, second, by=Ours):
    model = keras.Sequential([keras.Input((2,)), FlaxLayer(Counts(), state_updates=updates)])
    x = np.zeros((1, 2), np.float32)
    model(x)  # makes the count 1 where state is kept
    by.write(model, folder / "model")
    save_inputs(folder, "serve", x)

    def check():
        (served,), _ = read_results(folder, "serve")
        np.testing.assert_array_equal(served, np.full((1, 2), second, np.float32))

    return check


def export_state_that_an_endpoint_leaves_alone(folder):
    layer = FlaxLayer(Counts())
    x = np.zeros((1, 2), np.float32)
    layer(x)
    archive = ExportArchive()
    archive.track(layer)
    signature = [keras.InputSpec(shape=(None, 2), dtype="float32")]
    archive.add_endpoint("kept", layer, signature)
    archive.add_endpoint("left", layer, signature, is_static=True)
    archive.write_out(folder / "model", verbose=False)
    save_inputs(folder, "kept", x)
    save_inputs(folder, "left", x)

    def check():
        for name, count in (("kept", 3.0), ("left", 2.0)):
            (served,), _ = read_results(folder, name)
            np.testing.assert_array_equal(served, np.full((1, 2), count))

    return check


class Noise(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x + jax.random.normal(self.make_rng("noise"), x.shape)


def export_randomness(folder, by=Ours):
    model = keras.Sequential([keras.Input((3,)), FlaxLayer(Noise(), seed=4)])
    by.write(model, folder / "model")
    x = np.zeros((2, 3), np.float32)
    save_inputs(folder, "serve", x)

    def check():
        (served,), _ = read_results(folder, "serve")
        model(x)
        expected = Noise().apply({}, x, rngs=model.layers[0].peek_rngs(training=False))
        np.testing.assert_allclose(served, expected, rtol=1e-6, atol=1e-6)

    return check


class Doubles(nn.Module):
    """Has no gradient."""

    @nn.compact
    def __call__(self, inputs):
        def is_small(carry):
            return jnp.abs(carry).max() < 100.0

        x = inputs["x"] + jnp.sum(inputs["pair"][0]) - inputs["pair"][1].shape[0]
        return jax.lax.while_loop(is_small, lambda carry: 2 * carry, nn.Dense(2)(x))


def export_nested_inputs_without_a_gradient(folder):
    layer = FlaxLayer(Doubles())
    pair = np.ones((3,), np.float32), np.zeros((3, 1), np.float32)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    layer({"pair": pair, "x": x})
    spec = functools.partial(keras.InputSpec, dtype="float32")
    signature = {"pair": (spec(shape=(None,)), spec(shape=(None, 1))), "x": spec(shape=(None, 5))}
    archive = ExportArchive()
    archive.track_and_add_endpoint("serve", layer, [signature])
    archive.add_endpoint(
        "flat", lambda *arrays: layer({"pair": arrays[:2], "x": arrays[2]}), [*pair, x]
    )
    archive.write_out(folder / "model", verbose=False)
    np.savez(folder / "flat.npz", *pair, x)

    def check():
        (served,), _ = read_results(folder, "flat")
        expected = Doubles().apply(layer.flax_variables(), {"pair": pair, "x": x})
        np.testing.assert_allclose(served, expected, rtol=1e-5, atol=1e-5)

    return check


def export_to_litert(folder):
    tokens, x = keras.Input((None,), dtype="int32", name="a"), keras.Input((6, 6, 1), name="b")
    pair, images = FlaxLayer(Pair()), FlaxLayer(Images())
    outputs = pair(tokens, images(x))
    model = keras.Model([tokens, x], [outputs["sum"], outputs["count"]])
    export(model, folder / "model.tflite", format="litert", verbose=False)
    given = np.ones((3, 4), np.int32), np.random.default_rng(1).normal(size=(3, 6, 6, 1))
    given = given[0], given[1].astype(np.float32)
    np.savez(folder / "inputs.npz", a=given[0], b=given[1])

    def check():
        results, _ = read_results(folder, "litert")
        features = Images().apply(images.flax_variables(), given[1])
        expected = Pair().apply(pair.flax_variables(), given[0], features)
        found = {result.dtype.kind: result for result in results}
        np.testing.assert_allclose(found["f"], expected["sum"], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(found["i"], expected["count"])

    return check


EXPORTS = {
    "a trained model, any size, its variables": export_a_trained_model,
    "several inputs and outputs": export_several_inputs_and_outputs,
    "methods as endpoints": export_methods_as_endpoints,
    "state that is kept": functools.partial(export_state, updates="always", second=3.0),
    "state that is frozen": functools.partial(export_state, updates="training", second=1.0),
    "state that an endpoint leaves alone": export_state_that_an_endpoint_leaves_alone,
    "a file of LiteRT": export_to_litert,
    "randomness": export_randomness,
    "nested inputs, no gradient": export_nested_inputs_without_a_gradient,
}
EXPORTS |= {
    f"{name}, by Keras": functools.partial(EXPORTS[name], by=Keras)
    for name in (
        "a trained model, any size, its variables",
        "several inputs and outputs",
        "methods as endpoints",
        "state that is kept",
        "state that is frozen",
        "randomness",
    )
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Exports everything, then serves everything in one other process."""
    root = tmp_path_factory.mktemp("artefacts")
    checks = {}
    for number, (name, write) in enumerate(EXPORTS.items()):
        folder = root / str(number)
        folder.mkdir()
        checks[name] = write(folder)
    command = [sys.executable, "-c", SERVE, str(root)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return checks


@pytest.mark.parametrize("name", EXPORTS)
def test_it_is_served_without_jax_flax_and_keras(name, served):
    served[name]()
