"""One walk writes a spec in either dialect."""

import pytest

from flaxlayer_testing import Flag, ModuleSpec, Node, ReadSpecError, ValueType
from flaxlayer_testing.render.dialects import DIALECTS
from flaxlayer_testing.render.source import class_texts

X = ValueType((3,))
DENSE = Node("dense", (0,), (("features", 3), ("param_dtype", "float32"), ("use_bias", True)))
AGAIN = Node("again", (1,), (("node", 0),))
TWICE = {
    style: ModuleSpec((X,), (DENSE, AGAIN), (2,), style=style) for style in ("compact", "setup")
}
MADE = "features=3, param_dtype=jnp.float32, use_bias=True"
NNX = "nnx.Linear(3, 3, param_dtype=jnp.float32, use_bias=True, rngs=rngs)"

TEXTS = {
    ("linen", "compact"): f"""\
class Model(nn.Module):
    @nn.compact
    def __call__(self, x0):
        layer_1 = nn.Dense({MADE})
        h1 = layer_1(x0)
        h2 = layer_1(h1)
        return h2""",
    ("linen", "setup"): f"""\
class Model(nn.Module):
    def setup(self):
        self.layer_1 = nn.Dense({MADE})
    def __call__(self, x0):
        h1 = self.layer_1(x0)
        h2 = self.layer_1(h1)
        return h2""",
    ("nnx", "compact"): f"""\
class Model(nnx.Module):
    def __init__(self, *, rngs):
        self.layer_1 = {NNX}
        self.layer_2 = self.layer_1

    def __call__(self, x0):
        h1 = self.layer_1(x0)
        h2 = self.layer_2(h1)
        return h2""",
    ("nnx", "setup"): f"""\
class Model(nnx.Module):
    def __init__(self, *, rngs):
        self.layers = nnx.List()
        self.layers.append({NNX})
        self.layers.append(self.layers[0])

    def __call__(self, x0):
        h1 = self.layers[0](x0)
        h2 = self.layers[1](h1)
        return h2""",
}


@pytest.mark.law("T1")
@pytest.mark.parametrize(("framework", "style"), TEXTS, ids="-".join)
def test_a_layer_is_made_where_its_framework_makes_it(framework, style):
    writer = DIALECTS[framework].writer(TWICE[style])
    assert class_texts(writer) == [TEXTS[framework, style]]


@pytest.mark.parametrize("framework", DIALECTS)
def test_nested_classes_stand_before_the_one_that_makes_them(framework):
    inner = ModuleSpec((X,), (DENSE,), (1,))
    middle = ModuleSpec((X,), (Node("nested", (0,), (), inner),), (1,))
    spec = ModuleSpec((X,), (Node("nested", (0,), (("transform", "jit"),), middle),), (1,))
    texts = class_texts(DIALECTS[framework].writer(spec), "Net")
    heads = [text.partition("(")[0] for text in texts]
    assert heads == ["class Nested0_0", "class Nested0", "class Net"]


@pytest.mark.parametrize(
    ("framework", "text"),
    [
        ("linen", "h1 = nn.vmap(lambda m, *xs: m(*xs, training=train), in_axes=None, "),
        ("nnx", "h1 = nnx.vmap(lambda m, *xs: m(*xs, training=train), in_axes=(0, None), "),
    ],
    ids=["linen", "nnx"],
)
def test_a_transform_hands_the_training_argument_on_under_its_own_name(framework, text):
    inner = ModuleSpec((X,), (DENSE,), (1,), flag=Flag())
    node = Node("nested", (0,), (("transform", "vmap"),), inner)
    spec = ModuleSpec((X,), (node,), (1,), flag=Flag("train"))
    assert text in class_texts(DIALECTS[framework].writer(spec))[-1]


@pytest.mark.parametrize("framework", DIALECTS)
def test_a_spec_that_is_not_valid_is_not_written(framework):
    with pytest.raises(ReadSpecError, match="has a node"):
        class_texts(DIALECTS[framework].writer(ModuleSpec((X,), (Node("no", (0,)),), (1,))))
