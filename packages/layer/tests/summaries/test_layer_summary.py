"""What a summary says, beside raw Flax."""

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx
from flax.traverse_util import flatten_dict

from flaxlayer import FlaxLayer
from flaxlayer.summaries.layer_summary import summarize_layer

X = np.ones((2, 4), np.float32)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        self.param("steps", lambda key: jnp.arange(3))
        self.variable("cache", "key", lambda: jax.random.key(0))
        self.variable("cache", "count", lambda: jnp.zeros((), jnp.uint32))
        self.sow("intermediates", "x", x)
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(3, param_dtype=jnp.bfloat16)(x))
        return {"out": nn.Dropout(0.5, deterministic=not train)(x), "in": x[:, 0]}

    def head(self, x):
        return x + self.make_rng("noise").size


def said(layer):
    return summarize_layer(layer._runner)


def net(**kwargs):
    layer = FlaxLayer(Net(), name="net", **kwargs)
    layer(X)
    return layer


def marks(layer):
    return {"/".join(entry.path): entry.mark for entry in said(layer).entries}


def test_entries_are_the_variables_of_raw_init():
    layer = net()
    raw = flatten_dict(Net().init(layer.init_rngs(), X))
    stored = {path: leaf for path, leaf in raw.items() if path[0] != "intermediates"}
    entries = {entry.path: entry for entry in said(layer).entries}
    assert entries.keys() == stored.keys()
    for path, leaf in stored.items():
        found = entries[path]
        assert found.shape == leaf.shape
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            assert (found.dtype, found.count, found.size) == (leaf.dtype, leaf.size, leaf.nbytes)
    key = entries["cache", "key"]
    assert (key.dtype, key.shape, key.count, key.size) == ("key<fry>", (), 2, 8)


def test_params_come_first():
    assert list(dict.fromkeys(entry.path[0] for entry in said(net()).entries)) == [
        "params",
        "batch_stats",
        "cache",
    ]


def test_totals_are_those_of_the_layer():
    layer = net()
    totals = said(layer).totals()
    assert totals["total"][0] == layer.count_params()
    assert totals["total"] == tuple(map(sum, zip(*list(totals.values())[1:], strict=True)))
    trained = [jnp.asarray(v.value) for v in layer.trainable_variables]
    assert totals["trainable"] == (sum(v.size for v in trained), sum(v.nbytes for v in trained))


def test_facts_say_what_was_found():
    facts = said(net()).facts
    assert facts["runs"] == "Net.__call__"
    assert facts["arguments"] == "x, train"
    assert facts["inputs"] == "x: float32[2,4]"
    assert facts["training flag"] == "train"
    assert facts["outputs"] == "float32[2], float32[2,3]"
    assert facts["rng streams"] == "dropout, params (init); dropout (training)"
    assert facts["not stored"] == "intermediates"
    assert not facts.keys() & {"computes in", "state updates", "to be frozen"}


def test_settings_that_are_not_usual_are_said():
    layer = net(dtype="float16", state_updates="training", training_arg="train")
    facts = said(layer).facts
    assert (facts["computes in"], facts["state updates"]) == ("float16", "training")
    assert {entry.dtype for entry in said(layer).entries if entry.mark == "trainable"} == {
        "float16"
    }


def test_a_negated_flag_and_unknown_sizes_are_said():
    layer = FlaxLayer(nn.Dropout(0.5))
    layer(keras.Input((3,)))
    facts = said(layer).facts
    assert facts["training flag"] == "not deterministic"
    assert (facts["inputs"], facts["outputs"]) == ("inputs: float32[?,3]", "float32[?,3]")
    assert facts["rng streams"] == "dropout, params (init); dropout (training)"


def test_roles_and_what_is_frozen():
    layer = net()
    expected = {
        "params/BatchNorm_0/bias": "trainable",
        "params/BatchNorm_0/scale": "trainable",
        "params/Dense_0/bias": "trainable",
        "params/Dense_0/kernel": "trainable",
        "params/steps": "constant",
        "batch_stats/BatchNorm_0/mean": "state",
        "batch_stats/BatchNorm_0/var": "state",
        "cache/count": "state",
        "cache/key": "state",
    }
    assert marks(layer) == expected
    layer.freeze("params/Dense_0/**", "batch_stats/**")
    frozen = {path for path in expected if "Dense_0" in path or "batch_stats" in path}
    assert marks(layer) == expected | dict.fromkeys(frozen, "frozen")
    layer.trainable = False
    assert set(marks(layer).values()) == {"frozen"}
    layer.trainable = True
    layer.unfreeze("**")
    assert marks(layer) == expected


def test_a_layer_that_is_not_built_says_what_waits():
    layer = FlaxLayer(Net(), name="net")
    layer.freeze("params/Dense_0/**")
    summary = said(layer)
    assert (summary.built, summary.entries) == (False, ())
    assert summary.facts == {
        "runs": "Net.__call__",
        "arguments": "x, train",
        "training flag": "train",
        "to be frozen": "params/Dense_0/**",
    }
    assert not layer.built


def test_a_method_has_its_own_calls_and_the_same_variables():
    layer = net()
    head = layer.method("head", name="head")
    assert "rng streams" not in said(head).facts
    assert said(head).entries == said(layer).entries
    head(X)
    facts = said(head).facts
    assert (facts["runs"], facts["outputs"]) == ("Net.head", "float32[2,4]")
    assert said(layer).facts["runs"] == "Net.__call__"
    layer.freeze("params/**")
    assert marks(head) == marks(layer)


def test_what_a_subclass_added_is_said():
    class Scaled(FlaxLayer):
        def build(self, input_shape=None):
            super().build(input_shape)
            self.scale = self.add_weight(shape=(3,), name="scale")
            self.count = self.add_weight(name="count", trainable=False, dtype="int32")

    layer = Scaled(nn.Dense(2), name="net")
    layer(X)
    added = [entry for entry in said(layer).entries if entry.path[0] == "added"]
    assert [(e.path[1:], e.shape, e.dtype, e.mark) for e in added] == [
        (("count",), (), "int32", "state"),
        (("scale",), (3,), "float32", "trainable"),
    ]
    assert said(layer).totals()["total"][0] == layer.count_params()


class NnxNet(nnx.Module):
    def __init__(self, *, rngs):
        self.linear = nnx.Linear(4, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.norm(self.linear(x)))


@pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")
def test_a_module_of_nnx():
    layer = FlaxLayer(functools.partial(NnxNet))
    layer(X)
    entries = {entry.path: entry for entry in said(layer).entries}
    module = NnxNet(rngs=nnx.Rngs(0))
    params = nnx.to_flat_state(nnx.state(module, nnx.Param))
    for path, variable in params:
        found = entries["params", *map(str, path)]
        assert (found.shape, found.mark) == (variable[...].shape, "trainable")
    assert marks(layer)["batch_stats/norm/mean"] == "state"
    assert said(layer).facts["rng streams"].endswith("dropout (training)")


def test_values_are_not_read(monkeypatch):
    layer = net()
    for variable in layer.weights:
        monkeypatch.setattr(variable, "_value", None)
    assert len(said(layer).entries) == 9


def test_a_traced_layer_is_described_as_any_other():
    seen = []

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.net = FlaxLayer(Net(), name="net")

        def call(self, x):
            out = self.net(x)["out"]
            seen.append(said(self.net))
            return out

    model = Model()
    model.compile("sgd", "mse")
    model.fit(X, np.ones((2, 3), np.float32), verbose=0)
    assert [entry.path for entry in seen[-1].entries] == [
        entry.path for entry in said(model.net).entries
    ]


def test_many_arguments_are_cut():
    class Wide(nn.Module):
        def __call__(self, x):
            return (x + 1,) * 500

    layer = FlaxLayer(Wide())
    layer(X)
    facts = said(layer).facts
    assert facts["outputs"].endswith("and 492 more")
    assert all(len(text) < 1000 for text in facts.values())


class Pair(typing.NamedTuple):
    left: typing.Any
    right: typing.Any


def test_places_of_nested_inputs_are_said():
    class Sum(nn.Module):
        @nn.compact
        def __call__(self, batch, *, mode):
            return nn.Dense(1)(batch.left["a"]) + batch.right

    layer = FlaxLayer(Sum())
    layer(Pair({"a": X}, X[:, :1]), mode="fast")
    text = said(layer).facts["inputs"]
    assert text == "batch.left['a']: float32[2,4], batch.right: float32[2,1]"
