"""ONNX files run where there is ONNX Runtime and nothing else of this, from either backend (S4).

`./dev onnx` runs these with the packages that they need, and with Keras on JAX and on TensorFlow.
"""

import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, export
from flaxlayer_core import ExportModelError, ImportExtraError
from packages.layer.tests.exports.refused import REFUSED_ON_TORCH

pytestmark = pytest.mark.law("S4")


class Images(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.gelu(nn.Conv(4, (3, 3))(x), approximate=False)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        x = nn.max_pool(nn.Dropout(0.5, deterministic=not train)(x), (2, 2), (2, 2))
        x = nn.avg_pool(x, (2, 2), (1, 2))
        return nn.Dense(3)(nn.LayerNorm()(x).mean((1, 2)))


class Rematerialised(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.remat(Images)()(x)


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
    "pooling that is rematerialised": (
        Rematerialised(),
        {"x": (6, 6, 1)},
        {"x": floats(2, 6, 6, 1)},
    ),
    "several inputs and outputs": (
        Sequences(),
        {"tokens": (None,), "x": (6,)},
        {"tokens": TOKENS, "x": floats(3, 6)},
    ),
    "a recurrent module": (Recurrent(), {"x": (4, 2)}, {"x": floats(3, 4, 2)}),
    "state, which is left alone": (Counts(), {"x": (3,)}, {"x": floats(4, 3)}),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory, serve_onnx_alone):
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
    serve_onnx_alone(root)
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
    [
        pytest.param(
            doubled_in_python,
            "pure_callback",
            marks=pytest.mark.jax_only("TensorFlow lacks it, too"),
        ),
        (lambda x: x / int(x.shape[0]), "unknown size"),
        (lambda x: jnp.einsum("bi,bj->bij", x, x), "ONNX|dot_general"),
    ],
    ids=["callback", "sizes", "outer product"],
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


def test_large_weights_stand_in_a_file_beside_it_and_are_written_again(tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("jax2onnx")
    monkeypatch.chdir(tmp_path)
    layer = FlaxLayer(nn.Dense(600))
    model = keras.Sequential([keras.Input((600,)), layer])
    for _ in range(2):
        export(model, "model.onnx", format="onnx", verbose=False)
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "model.onnx.data"}
    session, x = onnxruntime.InferenceSession("model.onnx"), floats(3, 600)
    found = session.run(None, {session.get_inputs()[0].name: x})[0]
    expected = nn.Dense(600).apply(layer.flax_variables(), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_results_that_are_inputs_are_results_of_their_own(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("jax2onnx")
    layer = FlaxLayer(Applies(lambda y: (y, y)))
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, [inputs, *layer(inputs)])
    export(model, tmp_path / "model.onnx", format="onnx", verbose=False)
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert [value.name for value in graph.input] == ["x"]
    assert [value.name for value in graph.output] == ["output_0", "output_1", "output_2"]


def test_jax_is_afterwards_what_it_was(exported):
    homes = {name: getattr(value, "__module__", None) for name, value in vars(jnp).items()}
    assert not [name for name, home in homes.items() if str(home).startswith("jax2onnx")]


@REFUSED_ON_TORCH
def test_a_missing_converter_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    model = keras.Sequential([keras.Input((2,)), FlaxLayer(nn.Dense(2))])
    with pytest.raises(ImportExtraError, match=r"flaxlayer\[onnx\]"):
        export(model, tmp_path / "model.onnx", format="onnx")
