"""ONNX files run where there is ONNX Runtime and nothing else of this (S4).

`./dev onnx` runs these with the packages that they need.
"""

import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, export
from flaxlayer_core import ExportModelError, ImportExtraError

pytestmark = pytest.mark.law("S4")

# Runs files with no JAX, Flax, Keras or converter to import.
RUN = """
import pathlib
import sys
import numpy as np

class Only:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        own = {"jax", "jaxlib", "flax", "keras", "flaxlayer", "flaxlayer_core", "jax2onnx", "onnx"}
        if name.partition(".")[0] not in own:
            return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Only(finder) for finder in sys.meta_path]
import onnxruntime

for inputs in sorted(pathlib.Path(sys.argv[1]).glob("*/inputs.npz")):
    session = onnxruntime.InferenceSession(str(inputs.parent / "model.onnx"))
    given = np.load(inputs)
    assert {node.name for node in session.get_inputs()} == set(given.files)
    np.savez(inputs.with_name("outputs.npz"), *session.run(None, dict(given)))
assert not {"jax", "keras", "flax", "flaxlayer"} & set(sys.modules)
"""


class Images(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.gelu(nn.Conv(4, (3, 3))(x), approximate=False)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        x = nn.max_pool(nn.Dropout(0.5, deterministic=not train)(x), (2, 2), (2, 2))
        x = nn.avg_pool(x, (2, 2), (1, 2))
        return nn.Dense(3)(nn.LayerNorm()(x).mean((1, 2)))


class Sequences(nn.Module):
    @nn.compact
    def __call__(self, tokens, x):
        y = nn.Embed(11, 4)(tokens)
        y = nn.MultiHeadDotProductAttention(2)(y, y, mask=nn.make_causal_mask(tokens))
        return {"mean": y.mean(1) + nn.Dense(4)(x), "found": jnp.argmax(y, -1)}


class Recurrent(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.RNN(nn.LSTMCell(5))(x)


class Counts(nn.Module):
    """Changes its state at inference."""

    @nn.compact
    def __call__(self, x):
        count = self.variable("cache", "n", lambda: jnp.zeros((), jnp.int32))
        if not self.is_initializing():
            count.value += 1
        return nn.Dense(2)(x) + count.value


def floats(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


TOKENS = np.arange(15, dtype=np.int32).reshape(3, 5) % 11
CASES = {
    "images of any size": (Images(), {"x": (None, None, 1)}, {"x": floats(2, 9, 12, 1)}),
    "several inputs and outputs": (
        Sequences(),
        {"tokens": (None,), "x": (6,)},
        {"tokens": TOKENS, "x": floats(3, 6)},
    ),
    "a recurrent module": (Recurrent(), {"x": (4, 2)}, {"x": floats(3, 4, 2)}),
    "state, which is left alone": (Counts(), {"x": (3,)}, {"x": floats(4, 3)}),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Exports everything, then runs everything in one other process."""
    pytest.importorskip("jax2onnx")
    root = tmp_path_factory.mktemp("files")
    layers = {}
    for number, (name, (module, shapes, arrays)) in enumerate(CASES.items()):
        folder = root / str(number)
        folder.mkdir()
        inputs = [keras.Input(s, dtype=arrays[n].dtype.name, name=n) for n, s in shapes.items()]
        layer = FlaxLayer(module)
        model = keras.Model(inputs if inputs[1:] else inputs[0], layer(*inputs))
        if name.startswith("images"):
            model.compile("sgd", "mse")
            model.fit(floats(4, 8, 8, 1) + 2.0, np.ones((4, 3), np.float32), verbose=0)
        export(model, folder / "model.onnx", format="onnx", verbose=False)
        np.savez(folder / "inputs.npz", **arrays)
        layers[name] = folder, layer
    command = [sys.executable, "-c", RUN, str(root)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return layers


@pytest.mark.parametrize("name", CASES)
def test_it_runs_in_onnx_runtime_alone(name, exported):
    folder, layer = exported[name]
    module, _, arrays = CASES[name]
    stored = np.load(folder / "outputs.npz")
    mutable = nn.DenyList("params") if isinstance(module, Counts) else False
    expected = module.apply(layer.flax_variables(), *arrays.values(), mutable=mutable)
    leaves = jax.tree.leaves(expected[0] if mutable else expected)
    for name, leaf in zip(stored.files, leaves, strict=True):
        np.testing.assert_allclose(stored[name], leaf, rtol=1e-5, atol=1e-5)


class Applies(nn.Module):
    function: object

    @nn.compact
    def __call__(self, x):
        return self.function(nn.Dense(3)(x))


def doubled_in_python(x):
    return jax.pure_callback(lambda array: 2 * array, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


@pytest.mark.parametrize(
    ("function", "name"),
    [(doubled_in_python, "pure_callback"), (lambda x: x / int(x.shape[0]), "unknown size")],
    ids=["callback", "sizes"],
)
def test_what_cannot_be_converted_is_named(function, name, tmp_path):
    pytest.importorskip("jax2onnx")
    model = keras.Sequential([keras.Input((2,)), FlaxLayer(Applies(function))])
    with pytest.raises(ExportModelError, match=name):
        export(model, tmp_path / "model.onnx", format="onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    jax2onnx = pytest.importorskip("jax2onnx")
    convert = jax2onnx.to_onnx

    def convert_wrongly(run, *args, **kwargs):
        return convert(lambda x: [run(x)[0] + 0.01], *args, **kwargs)

    monkeypatch.setattr(jax2onnx, "to_onnx", convert_wrongly)
    model = keras.Sequential([keras.Input((2,)), FlaxLayer(Applies(nn.relu))])
    with pytest.raises(ExportModelError, match="other values in output 0"):
        export(model, tmp_path / "model.onnx", format="onnx")
    assert not list(tmp_path.iterdir())


def test_a_missing_converter_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    model = keras.Sequential([keras.Input((2,)), FlaxLayer(nn.Dense(2))])
    with pytest.raises(ImportExtraError, match=r"flaxlayer\[onnx\]"):
        export(model, tmp_path / "model.onnx", format="onnx")
