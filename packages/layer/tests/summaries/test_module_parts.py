"""Keras's own pictures of a model with layers of this package."""

import functools
import typing

import flax
import flax.linen as nn
import jax
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer.summaries.module_parts import module_parts

X = np.ones((2, 4), np.float32)


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=True)(nn.Dense(3)(x))


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = x * self.param("scale", nn.initializers.ones, (4,))
        return Block(name="second")(Block(name="first")(x))


class Holder(keras.Model):
    def __init__(self, *parts):
        super().__init__()
        self.parts = list(parts)

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


def rows(model, **options):
    texts = []
    model.summary(print_fn=texts.append, **options)
    lines = [line for line in texts[0].splitlines() if line.startswith("│")]
    return [tuple(cell.strip() for cell in line.strip("│").split("│")) for line in lines]


def test_a_summary_of_a_model_shows_the_modules_of_a_layer():
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(Net(), name="net")])
    assert rows(model, expand_nested=True) == [
        ("net (FlaxLayer)", "(None, 3)", "55"),
        ("└ first (Module)", "?", "27"),
        ("└ BatchNorm_0 (Module)", "?", "12"),
        ("└ Dense_0 (Module)", "?", "15"),
        ("└ second (Module)", "?", "24"),
        ("└ BatchNorm_0 (Module)", "?", "12"),
        ("└ Dense_0 (Module)", "?", "12"),
    ]
    assert rows(model) == [("net (FlaxLayer)", "(None, 3)", "55")]


def test_frozen_modules_are_shown_as_such():
    layer = FlaxLayer(Net(), name="net")
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.freeze("params/first/**")
    trained = [row[-1] for row in rows(model, expand_nested=True, show_trainable=True)]
    assert trained == ["Y", "N", "N", "N", "Y", "Y", "Y"]


@pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")
def test_a_module_of_nnx_has_its_parts():
    class Pair(nnx.Module):
        def __init__(self, *, rngs):
            self.linear = nnx.Linear(4, 3, rngs=rngs)
            self.norm = nnx.BatchNorm(3, rngs=rngs)

        def __call__(self, x):
            return self.norm(self.linear(x))

    layer = FlaxLayer(functools.partial(Pair))
    layer(X)
    assert {part.name: part.count_params() for part in layer.layers} == {"linear": 15, "norm": 12}


def test_huge_modules_have_few_rows():
    class Deep(nn.Module):
        @nn.compact
        def __call__(self, x):
            for index in range(60):
                x = Block(name=f"b{index:02}")(x)
            return x

    class Wide(nn.Module):
        @nn.compact
        def __call__(self, x):
            return sum(nn.Dense(1)(x) for _ in range(210))

    deep, wide = FlaxLayer(Deep()), FlaxLayer(Wide())
    deep.build_on(X), wide.build_on(X)
    assert len(deep.layers) == 60
    assert sum(len(part.layers) for part in deep.layers) == 120
    assert len(wide.layers) == 200
    small = module_parts(deep._hosted.built_weights, most=100)
    assert [len(part.layers) for part in small] == [0] * 60
    assert sum(part.count_params() for part in small) == deep.count_params()


def test_an_unbuilt_layer_has_no_parts():
    layer = FlaxLayer(Net())
    assert layer.layers == []
    assert layer.method("__call__").layers == []


def test_a_subclass_may_have_layers_of_its_own(tmp_path):
    class Own(FlaxLayer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.layers = [keras.layers.Dense(2)]

        def call(self, x):
            return self.layers[0](super().call(x))

    layer = Own(Net(), name="net")
    model = keras.Sequential([keras.Input((4,)), layer])
    (dense,) = layer.layers
    assert dense.built
    model.save_weights(tmp_path / "a.weights.h5")
    expected = model(X)
    dense.kernel.assign(dense.kernel * 0)
    model.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(model(X), expected)


class Two(typing.NamedTuple):
    first: typing.Any
    second: typing.Any


@flax.struct.dataclass
class Record:
    first: typing.Any
    second: typing.Any


OUTPUTS = {
    "array": (lambda x: x, "(2, 3)"),
    "dict": (lambda x: {"a": x, "b": [x]}, "{a: (2, 3), b: [(2, 3)]}"),
    "named_tuple": (lambda x: Two(x, x), "[(2, 3), (2, 3)]"),
    "struct": (lambda x: Record(x, {"b": x}), "[(2, 3), (2, 3)]"),
    "none": (lambda x: (x, None, "text"), "(2, 3)"),
    "empty": (lambda x: {}, "{}"),
}


class Returning(nn.Module):
    kind: str

    @nn.compact
    def __call__(self, x):
        return OUTPUTS[self.kind][0](nn.Dense(3)(x))


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_of_every_form_have_a_row(kind):
    layer = FlaxLayer(Returning(kind), name="net")
    model = Holder(layer)
    layer(X)
    assert rows(model) == [("net (FlaxLayer)", OUTPUTS[kind][1], "15")]


def test_a_module_that_branches_on_values_has_a_row():
    class Branching(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x) if float(x.sum()) > 0 else x

    layer = FlaxLayer(Branching(), name="net")
    layer(X)
    assert rows(Holder(layer), expand_nested=True) == [
        ("net (FlaxLayer)", "?", "10"),
        ("└ Dense_0 (Module)", "?", "10"),
    ]


def test_a_method_that_was_called_has_its_shape():
    embed = FlaxLayer(nn.Embed(5, 2), name="embed")
    attend = embed.method("attend", name="attend")
    model = Holder(embed, attend)
    model(np.ones((2, 3), np.int32))
    assert rows(model) == [
        ("embed (FlaxLayer)", "(2, 3, 2)", "10"),
        ("attend (FlaxMethod)", "(2, 3, 5)", "10"),
    ]


@pytest.mark.parametrize("kind", [kind for kind in OUTPUTS if kind != "empty"])
def test_a_model_is_plotted(kind):
    inputs = keras.Input((4,))
    layer = FlaxLayer(Returning(kind), name="net")
    outputs = jax.tree.leaves(layer(inputs))
    model = keras.Model(inputs, [t for t in outputs if isinstance(t, keras.KerasTensor)])
    outer = keras.Model(inputs, model(inputs))
    options = dict.fromkeys(
        ["show_shapes", "show_dtype", "show_layer_names", "expand_nested", "show_trainable"], True
    )
    text = keras.utils.model_to_dot(outer, show_layer_activations=True, **options).to_string()
    assert "<b>net</b> (FlaxLayer)" in text
    assert "Input shape: <b>(None, 4)</b>" in text
    assert "(None, 3)" in text.split("(FlaxLayer)")[1]
    assert "float32" in text.split("(FlaxLayer)")[1]
