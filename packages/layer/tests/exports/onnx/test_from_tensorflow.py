"""ONNX files of models in which Flax modules stand among layers of Keras on TensorFlow (S4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import tensorflow as tf
from flax import nnx

from flaxlayer import FlaxLayer, export
from flaxlayer_core import ExportModelError

pytestmark = pytest.mark.law("S4", "K2")


class Images(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(nn.Conv(4, (3, 3))(x))
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.max_pool(x, (2, 2), (2, 2))


class Mixed(nnx.Module):
    def __init__(self, *, rngs):
        self.dense = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, momentum=0.5, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.drop(self.norm(self.dense(x)))


class Several(nn.Module):
    """Several results, a parameter that no input changes among them, and state."""

    @nn.compact
    def __call__(self, x):
        count = self.variable("cache", "n", lambda: jnp.zeros((), jnp.int32))
        if not self.is_initializing():
            count.value += 1
        scale = self.param("scale", nn.initializers.normal(1.0), (3,))
        return {"found": jnp.argmax(x * scale, -1), "scale": scale, "sign": x > 0}


class Cell(keras.layers.Layer):
    def __init__(self, layer):
        super().__init__()
        self.state_size, self.layer = 3, layer

    def build(self, shape):
        self.layer.build((shape[0], shape[-1] + 3))

    def call(self, x, states):
        h = keras.ops.tanh(self.layer(keras.ops.concatenate([x, states[0]], -1)))
        return h, [h]


def floats(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def dense(layer, x):
    return x @ layer.kernel.numpy() + layer.bias.numpy()


def images():
    inputs = keras.Input((None, None, 1), name="x")
    conv = keras.layers.Conv2D(2, 3, activation="relu")
    layer, pool, last = (
        FlaxLayer(Images()),
        keras.layers.GlobalMaxPooling2D(),
        FlaxLayer(nn.Dense(2)),
    )
    head = keras.layers.Dense(3)
    model = keras.Model(inputs, last(head(pool(layer(conv(inputs))))))
    model.compile("sgd", "mse")
    model.fit(floats(4, 8, 8, 1) + 2.0, np.ones((4, 2), np.float32), verbose=0)

    def expected(x):
        kernel, bias = conv.kernel.numpy(), conv.bias.numpy()
        raw = nn.Conv(2, (3, 3), padding="VALID").apply(
            {"params": {"kernel": kernel, "bias": bias}}, x
        )
        y = Images().apply(layer.flax_variables(), nn.relu(raw)).max((1, 2))
        return nn.Dense(2).apply(last.flax_variables(), dense(head, y))

    return model, {"x": floats(2, 9, 12, 1)}, expected


def objects():
    layer, head = FlaxLayer(Mixed(rngs=nnx.Rngs(0))), keras.layers.Dense(2)
    model = keras.Sequential([keras.Input((3,), name="x"), layer, head])
    model.compile("sgd", "mse")
    model.fit(floats(4, 3) + 2.0, np.ones((4, 2), np.float32), verbose=0)

    def expected(x):
        module = layer.to_module()
        module.eval()
        return dense(head, np.asarray(module(x)))

    return model, {"x": floats(5, 3)}, expected


def sequences():
    """Several inputs of an unknown length, integers among them; one is a result."""
    tokens = keras.Input((None,), name="tokens", dtype="int32")
    x = keras.Input((None, 4), name="x")
    embed, mix = FlaxLayer(nn.Embed(11, 4)), FlaxLayer(nn.MultiHeadDotProductAttention(2))
    head = keras.layers.Dense(3)
    model = keras.Model([tokens, x], [head(mix(embed(tokens) + x)), tokens])

    def expected(tokens, x):
        y = nn.Embed(11, 4).apply(embed.flax_variables(), tokens) + x
        y = nn.MultiHeadDotProductAttention(2).apply(mix.flax_variables(), y)
        return [dense(head, np.asarray(y)), tokens]

    given = {"tokens": np.arange(10, dtype=np.int32).reshape(2, 5), "x": floats(2, 5, 4)}
    return model, given, expected


def several():
    inputs = keras.Input((3,), name="x")
    layer = FlaxLayer(Several())
    model = keras.Model(inputs, layer(inputs))

    def expected(x):
        variables = layer.flax_variables()
        return Several().apply(variables, x, mutable=["cache"])[0]

    return model, {"x": floats(4, 3)}, expected


def loop():
    layer = FlaxLayer(nn.Dense(3))
    model = keras.Sequential([keras.Input((5, 2), name="x"), keras.layers.RNN(Cell(layer))])

    def expected(x):
        h = np.zeros((x.shape[0], 3), np.float32)
        for step in range(x.shape[1]):
            joined = np.concatenate([x[:, step], h], -1)
            h = jnp.tanh(nn.Dense(3).apply(layer.flax_variables(), joined))
        return h

    return model, {"x": floats(2, 5, 2)}, expected


CASES = [images, objects, sequences, several, loop]


@pytest.fixture(scope="module")
def exported(tmp_path_factory, serve_onnx_alone):
    """Exports everything, then runs everything in one other process."""
    pytest.importorskip("tf2onnx")
    root = tmp_path_factory.mktemp("files")
    made = {}
    for case in CASES:
        folder = root / case.__name__
        folder.mkdir()
        model, arrays, expected = case()
        before = list(map(keras.ops.convert_to_numpy, model.variables))
        export(model, folder / "model.onnx", format="onnx", verbose=False)
        for left, right in zip(before, model.variables, strict=True):
            np.testing.assert_array_equal(left, keras.ops.convert_to_numpy(right))
        np.savez(folder / "inputs.npz", **arrays)
        made[case] = folder, expected(**arrays)
    serve_onnx_alone(root)
    return made


@pytest.mark.parametrize("case", CASES)
def test_it_runs_in_onnx_runtime_alone(case, exported):
    folder, expected = exported[case]
    stored = np.load(folder / "outputs.npz")
    for name, leaf in zip(stored.files, jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(stored[name], leaf, rtol=1e-5, atol=1e-5)


def test_weights_of_a_layer_that_is_called_twice_are_stored_once(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    left, right, layer = keras.Input((5,)), keras.Input((5,)), FlaxLayer(nn.Dense(7))
    model = keras.Model([left, right], [layer(left), layer(right)])
    export(model, tmp_path / "model.onnx", format="onnx", verbose=False)
    weights = onnx.load(tmp_path / "model.onnx").graph.initializer
    assert [list(weight.dims) for weight in weights].count([5, 7]) == 1


def test_the_version_of_the_operations_is_what_was_asked_for(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    model = keras.Sequential([keras.Input((3,)), FlaxLayer(nn.Dense(2)), keras.layers.Softmax()])
    export(model, tmp_path / "model.onnx", format="onnx", verbose=False, opset_version=16)
    imports = onnx.load(tmp_path / "model.onnx").opset_import
    assert [(each.domain, each.version) for each in imports] == [("", 16)]


def in_python(x):
    return tf.ensure_shape(tf.numpy_function(lambda array: 2 * array, [x], tf.float32), (None, 3))


@pytest.mark.parametrize(
    ("function", "options", "name"),
    [
        (in_python, {}, "a function of Python"),
        (lambda x: tf.linalg.svd(x[..., None], compute_uv=False), {}, "Svd"),
        (tf.identity, {"opset_version": 99}, "pset 99"),
    ],
    ids=["function of Python", "operation", "version"],
)
def test_what_tf2onnx_lacks_is_named(function, options, name, tmp_path):
    pytest.importorskip("tf2onnx")
    layers = [keras.layers.Lambda(function), FlaxLayer(nn.Dense(2))]
    model = keras.Sequential([keras.Input((3,)), *layers])
    with pytest.raises(ExportModelError, match=name):
        export(model, tmp_path / "model.onnx", format="onnx", **options)
    assert not list(tmp_path.iterdir())
