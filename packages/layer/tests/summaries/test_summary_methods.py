"""`layer.summary()`, and what a notebook shows of a layer."""

import flax.linen as nn
import keras
import numpy as np

from flaxlayer import FlaxLayer

X = np.ones((2, 4), np.float32)


def printed(layer, **options):
    texts = []
    assert layer.summary(print_fn=texts.append, **options) is None
    (text,) = texts
    return text


class Wide(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x):
        for index in range(self.width):
            x = x + self.param(f"w{index:04}", nn.initializers.zeros, (4,))
        return x


def test_a_summary_is_printed(capsys):
    layer = FlaxLayer(nn.Dense(3), name="head")
    layer(X)
    layer.summary()
    out = capsys.readouterr().out
    assert out == printed(layer, line_length=80) + "\n"
    assert "├─ bias    (3,)    float32      3  12 B  trainable" in out


def test_rows_are_bounded():
    layer = FlaxLayer(Wide(300))
    layer.build_on(X)
    assert "params    300 variables" in printed(layer)
    text = printed(layer, depth=2)
    assert len(text.splitlines()) < 120
    assert "… and 201 more rows" in text
    assert "w0299" in printed(layer, max_rows=301)
    assert len(layer._repr_html_()) < 2000


def test_a_layer_that_is_not_built_has_a_summary():
    layer = FlaxLayer(nn.Dense(3), name="head")
    assert "Not built yet" in printed(layer)
    assert "Not built yet" in layer._repr_html_()
    assert "Not built yet" in printed(layer.method("__call__"))
    assert not layer.built


def test_the_repr_is_that_of_keras():
    layer = FlaxLayer(nn.Dense(3), name="head")
    layer(X)
    assert repr(layer) == keras.layers.Layer.__repr__(layer)
    assert "kernel" in layer._repr_html_()


def test_a_method_has_a_summary_of_its_own():
    layer = FlaxLayer(nn.Embed(5, 2), name="embed")
    layer(np.ones((2, 3), np.int32))
    attend = layer.method("attend", name="attend")
    attend(np.ones((2, 2), np.float32))
    text = printed(attend)
    assert text.startswith("FlaxMethod 'attend'")
    assert "Embed.attend" in text
    assert "└─ embedding" in text
    assert "query: float32[2,2]" in attend._repr_html_()


def test_a_module_that_cannot_be_traced_has_a_summary():
    class Branching(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x) if float(x.sum()) > 0 else x

    layer = FlaxLayer(Branching())
    layer(X)
    assert "kernel" in printed(layer)
