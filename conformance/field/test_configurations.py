"""Modules train as they are configured, and come back where they are only registered (T12)."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import keras
import numpy as np
import pytest

from conformance.field.subjects import SUBJECTS

ROOT = pathlib.Path(__file__).parents[2]
RATE = 0.1
Y = np.array([[1.0], [-1.0], [2.0], [0.5]], np.float32)
LOAD = """
import importlib, json, sys
import flaxlayer, keras
import numpy as np

for name in json.loads(sys.argv[1]):
    module, _, attribute = name.partition(":")
    flaxlayer.register(getattr(importlib.import_module(module), attribute))
model = keras.models.load_model(sys.argv[2])
inputs = np.load(sys.argv[3])
np.save(sys.argv[4], model.predict([inputs[name] for name in inputs.files], verbose=0))
"""


@pytest.fixture(params=SUBJECTS)
def subject(request):
    return SUBJECTS[request.param]()


@pytest.fixture
def layer(subject):
    keras.utils.set_random_seed(5)
    return subject.make()


@pytest.fixture
def model(subject, layer):
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype.name) for x in subject.inputs]
    outputs = keras.layers.Dense(1, name="head")(subject.pick(layer(*inputs)))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    return model


def weights(layer, model):
    """The params as Flax has them, and the head of the model."""
    kernel, bias = map(np.asarray, model.get_layer("head").get_weights())
    return layer.flax_variables()["params"], kernel, bias


def prediction(subject, weights, rngs):
    """What raw Flax and the head give."""
    params, kernel, bias = weights
    return subject.pick(subject.raw(params, subject.inputs, rngs)) @ kernel + bias


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=1e-4, atol=1e-5)


def load_elsewhere(subject, model, folder):
    """Saves the model, and predicts in a process that knows nothing but what is registered."""
    paths = [folder / name for name in ("model.keras", "inputs.npz", "outputs.npy")]
    model.save(paths[0])
    np.savez(paths[1], *subject.inputs)
    command = [sys.executable, "-c", LOAD, json.dumps(subject.known), *map(str, paths)]
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend()}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return np.load(paths[2])


@pytest.mark.law("T12")
def test_a_module_trains_as_in_flax_and_comes_back_where_it_is_only_registered(
    subject, layer, model, tmp_path
):
    before = weights(layer, model)
    predicted = model.predict(list(subject.inputs), verbose=0)
    close(predicted, prediction(subject, before, None))

    def loss(weights):
        return ((prediction(subject, weights, rngs) - Y) ** 2).mean()

    rngs = layer.peek_rngs(training=True)
    assert rngs, "dropout draws keys"
    gradients = jax.grad(loss)(before)
    model.fit(list(subject.inputs), Y, batch_size=len(Y), shuffle=False, verbose=0)
    after = weights(layer, model)
    jax.tree.map(lambda a, b, g: close(a, b - RATE * g), after, before, gradients)

    trained = model.predict(list(subject.inputs), verbose=0)
    close(trained, prediction(subject, after, None))
    assert np.abs(trained - predicted).max() > 1e-3, "training changed nothing that can be seen"
    np.testing.assert_array_equal(load_elsewhere(subject, model, tmp_path), trained)
