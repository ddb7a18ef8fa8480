"""Loads each file beside it, and compares with what raw Flax made of it (`write.py`)."""

import functools
import json
import pathlib

import flax.linen as nn
import h5py
import jax
import keras
import numpy as np
import written
from cases import CASES
from leaves import flax_layers, leaves, variables_of

from flaxlayer import FlaxLayer, read_variables

HERE = pathlib.Path(__file__).parent
CONFIGURATIONS = json.loads((HERE / "configurations.json").read_text())
WIDE = ("bfloat16", "float16")


def same(found, expected, what, close=1e-5):
    assert found.keys() == expected.keys(), (what, sorted(found), sorted(expected))
    for name, value in expected.items():
        rough = 2e-2 if name.endswith(WIDE) else close
        np.testing.assert_allclose(
            found[name], value, rtol=rough, atol=rough, err_msg=f"{what} {name}"
        )


def outputs(tree):
    return leaves([keras.ops.convert_to_numpy(leaf) for leaf in jax.tree.leaves(tree)])


def read(name, case):
    with np.load(HERE / f"{name}.npz") as stored:
        parts = {}
        for key in stored.files:
            part, _, path = key.partition("/")
            parts.setdefault(part, {})[path] = stored[key]
    model = keras.models.load_model(HERE / f"{name}.keras")
    if case.draws:
        state = flax_layers(model)[0].seed_generator.state
        assert np.asarray(state).tolist() == [case.seed, 0], name
    same(leaves(variables_of(model)), parts["value"], f"{name}, loaded")
    y = model(case.inputs)
    same(outputs(y), parts["output"], f"{name}, at inference")
    if case.step:
        model = keras.models.load_model(HERE / f"{name}.keras")
        targets = jax.tree.map(np.zeros_like, jax.tree.map(keras.ops.convert_to_numpy, y))
        model.train_on_batch(case.inputs, targets)
        same(leaves(variables_of(model)), parts["stepped"], f"{name}, after a step", 1e-4)
    model = keras.models.load_model(HERE / f"{name}.keras")
    same(outputs(model(case.inputs, training=True)), parts["training"], f"{name}, in training")
    fresh = made_again(name, case)
    if case.starts:
        same(leaves(variables_of(fresh)), parts["start"], f"{name}, at its start")
    weights = HERE / f"{name}.weights.h5"
    if weights.exists():
        fresh.load_weights(weights)
        same(leaves(variables_of(fresh)), parts["value"], f"{name}, from weights")


def made_again(name, case):
    config = json.dumps(CONFIGURATIONS[name])
    model = keras.models.model_from_json(config)
    if name == "within":
        model(case.inputs)
    return model


def read_unbuilt():
    """A layer that is not built is so by the inputs that its weights record (W4)."""
    layer = FlaxLayer(written.Net(), losses=(), name="net")
    with h5py.File(HERE / "within.weights.h5") as file:
        layer.load_own_variables(file["layers/flax_layer/vars"])
    with np.load(HERE / "within.npz") as stored:
        expected = part(stored, "value")
    found = leaves({"net": layer.flax_variables()})
    same(found, {name: expected[name] for name in expected if name in found}, "within, unbuilt")
    assert len(found) == 6


def part(stored, name):
    return {k.removeprefix(f"{name}/"): stored[k] for k in stored.files if k.startswith(f"{name}/")}


def read_fields():
    module = flax_layers(keras.models.load_model(HERE / "fields.keras"))[0].module
    same_values(module.values, written.make_fields().values)
    assert module.layer is module.again
    assert module.values["same"][0] is module.values["same"][1]
    assert module.config == written.make_fields().config


def same_values(found, expected):
    assert type(found) is type(expected), (found, expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, value in expected.items():
            same_values(found[name], value)
    elif isinstance(expected, np.ndarray):
        assert (found.dtype, found.tobytes()) == (expected.dtype, expected.tobytes())
    elif isinstance(expected, functools.partial):
        assert (found.func, found.keywords) == (expected.func, expected.keywords)
    elif "<locals>" in getattr(expected, "__qualname__", ""):  # what a stock maker made
        shape = (jax.random.key(0), (2, 3))
        assert found(*shape).tolist() == expected(*shape).tolist()
    elif isinstance(expected, type) and issubclass(expected, nn.Module):  # one may be lifted
        assert found.__name__ == expected.__name__
    else:
        assert found == expected, (found, expected)


def read_checkpoints():
    with np.load(HERE / "linen.npz") as stored:
        expected = part(stored, "value")
    for file in ("variables.msgpack", "state.msgpack", "variables.safetensors"):
        variables = read_variables(HERE / file)
        same(leaves({"net": variables}), expected, file)
        model = made_again("linen", CASES["linen"])
        model.layers[0].load_flax_variables(variables)
        same(leaves(variables_of(model)), expected, f"{file}, loaded")


for name, case in CASES.items():
    read(name, case)
    print("read", name)
read_unbuilt()
read_fields()
read_checkpoints()
print("read what is left")
