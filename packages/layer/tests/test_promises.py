"""What users and files hold on to, in full: names, signatures, forms in files (S1, W3)."""

import dataclasses
import enum
import functools
import hashlib
import inspect
import json
from collections import OrderedDict, namedtuple
from types import SimpleNamespace
from unittest.mock import ANY

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx
from flax.core import FrozenDict
from jax.sharding import PartitionSpec
from ml_collections import ConfigDict, FrozenConfigDict

import flaxlayer
from flaxlayer import FlaxLayer
from packages.layer.tests.needs import needs_nnx

X = np.ones((2, 4), np.float32)

# Names, order, kinds and defaults of parameters; an annotation may become sharper.
SIGNATURES = {
    "CollectionPolicy": "(*, trainable=('params',), state=(), "
    "transient=('intermediates', 'perturbations'))",
    "CollectionPolicy.role": "(self, collection)",
    "ExportArchive": "()",
    "ExportArchive.add_endpoint": "(self, name, fn, input_signature=None, *, is_static=False, "
    "native_serialization_platforms=None)",
    "ExportArchive.add_variable_collection": "(self, name, variables)",
    "ExportArchive.track": "(self, resource)",
    "ExportArchive.track_and_add_endpoint": "(self, name, resource, input_signature, **kwargs)",
    "ExportArchive.write_out": "(self, filepath, options=None, *, verbose=True)",
    "FlaxLayer": "(module, method=None, variables=None, *, rngs=None, training_arg=None, "
    "rng_args=None, mask_arg='auto', init_method=None, state_updates='always', return_sown=(), "
    "losses=('losses',), seed=None, collections=None, native_serialization_platforms=None, "
    "**kwargs)",
    "FlaxLayer.build": "(self, input_shape=None)",
    "FlaxLayer.build_on": "(self, /, *args, **kwargs)",
    "FlaxLayer.call": "(self, inputs=None, /, *args, training=None, flax_arguments=None, **kwargs)",
    "FlaxLayer.flax_variables": "(self)",
    "FlaxLayer.freeze": "(self, *patterns)",
    "FlaxLayer.from_config": "(config)",
    "FlaxLayer.init_rngs": "(self)",
    "FlaxLayer.load_flax_variables": "(self, tree)",
    "FlaxLayer.method": "(self, method, *, training_arg=None, mask_arg='auto', **kwargs)",
    "FlaxLayer.peek_rngs": "(self, /, *args, training, **kwargs)",
    "FlaxLayer.to_module": "(self)",
    "FlaxLayer.unfreeze": "(self, *patterns)",
    "FlaxLayerError": "(failed, *, expected='', found='', fix='', law='')",
    "FlaxMethod": "(layer, method, *, training_arg=None, mask_arg='auto', **kwargs)",
    "FlaxMethod.build_on": "(self, /, *args, **kwargs)",
    "FlaxMethod.peek_rngs": "(self, /, *args, training, **kwargs)",
    "TrainingCheckpoint": "(directory, *, every=1, keep=2)",
    "TrainingCheckpoint.restore": "(self, model)",
    "export": "(model, filepath, format='tf_saved_model', *, verbose=None, input_signature=None, "
    "**kwargs)",
    "load_reference_model": "(path, custom_objects=None)",
    "predict_in_processes": "(model, x, *, batch_size=32, verbose='auto')",
    "read_variables": "(path)",
    "register": "(obj=None, *, package='flaxlayer', name=None, encode=None, decode=None)",
    "save_in_processes": "(model, filepath)",
}
PROPERTIES = {
    "CollectionPolicy": "state trainable transient",
    "ExportArchive": "non_trainable_variables trainable_variables variables",
    "FlaxLayer": "discovery module params sown state",
    "FlaxMethod": "sown",
}


def test_the_public_names_are_these():
    assert set(flaxlayer.__all__) == {name.partition(".")[0] for name in SIGNATURES}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_this(name):
    found = functools.reduce(getattr, name.split("."), flaxlayer)
    signature = inspect.signature(found)
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    plain = signature.replace(parameters=bare, return_annotation=signature.empty)
    assert str(plain) == SIGNATURES[name]


@pytest.mark.parametrize("name", PROPERTIES)
def test_the_properties_of_a_public_class_are_there(name):
    assert set(PROPERTIES[name].split()) <= set(dir(getattr(flaxlayer, name)))


register = functools.partial(flaxlayer.register, package="promises")
Pair = register(namedtuple("Pair", "left right"), name="Pair")


@register
class Colour(enum.Enum):
    RED = "r"


@register
@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 2


class Opaque:
    def __init__(self, text):
        self.text = text


register(Opaque, encode=lambda o: o.text, decode=Opaque)


@register
def double(x, by=2):
    return x * by


@register
class Holds(nn.Module):
    value: object = None
    more: object = None

    @nn.compact
    def __call__(self, x, mode="", train=False):
        self.variable("state", "a/b.c", jnp.zeros, ())
        h = nn.BatchNorm(use_running_average=not train)(x)
        if not self.is_initializing():
            self.variable("late", "n", jnp.zeros, ())
        return nn.Dropout(0.5, deterministic=not train)(h)

    def other(self, x):
        return x


@register
@dataclasses.dataclass(frozen=True)
class Maker:
    width: int

    @register
    def make(self):
        return nn.Dense(self.width)


def config_dict():
    config = ConfigDict({"a": 1})
    config.b = config.get_ref("a")
    return config


SLOT = {"$type": "dataclass", "class": "flaxlayer>Slot", "fields": [["index", 0]]}
CONFIG_DICT = {
    "$type": "config_dict",
    "class": "ml_collections:ConfigDict",
    "items": [["a", 1]],
    "locked": False,
    "flags": [["type_safe", True], ["convert_dict", True]],
}
REFERENCE = {"$type": "config_reference", "value": 1, "of": "int", "required": False, "id": 0}
# A value of each kind and its form in a file; what other versions of JAX and Flax change is open.
FORMS = [
    (
        np.array([1, 2], np.int16),
        {"$type": "array", "form": "numpy", "dtype": "int16", "shape": [2], "data": "AQACAA=="},
    ),
    (b"ab", {"$type": "bytes", "data": "YWI="}),
    (nn.Dense, {"$type": "class", "name": "flax.linen:Dense"}),
    (
        nn.initializers.normal(0.5),
        {"$type": "closure", "factory": "jax.nn.initializers:normal", "arguments": ANY},
    ),
    (1 - 2j, {"$type": "complex", "real": 1.0, "imag": -2.0}),
    (ConfigDict({"a": 1}), CONFIG_DICT),
    (config_dict(), {**CONFIG_DICT, "items": [["a", REFERENCE], ["b", {"$type": "ref", "id": 0}]]}),
    (
        FrozenConfigDict({"a": 1}),
        {
            "$type": "frozen_config_dict",
            "class": "ml_collections:FrozenConfigDict",
            "held": CONFIG_DICT,
        },
    ),
    (..., {"$type": "constant", "name": "builtins:Ellipsis"}),
    (Point(1), {"$type": "dataclass", "class": "promises>Point", "fields": [["x", 1]]}),
    ({1: "a"}, {"$type": "dict", "items": [[1, "a"]]}),
    (np.dtype("float16"), {"$type": "dtype", "name": "float16"}),
    (Colour.RED, {"$type": "enum", "class": "promises>Colour", "member": "RED"}),
    (float("inf"), {"$type": "float", "value": "inf"}),
    (FrozenDict({"a": 1}), {"$type": "frozen_dict", "items": [["a", 1]]}),
    (frozenset({"x"}), {"$type": "frozenset", "items": ["x"]}),
    (double, {"$type": "function", "name": "promises>double"}),
    (2**80, {"$type": "int", "hex": "0x100000000000000000000"}),
    (
        nn.vmap(nn.Dense, variable_axes={"params": 0}, split_rngs={"params": True}),
        {"$type": "lifted", "transform": "vmap", "class": "flax.linen:Dense", "methods": ANY},
    ),
    (Holds.other, {"$type": "method", "class": "promises>Holds", "name": "other"}),
    (
        nn.Dense(3),
        {"$type": "module", "class": "flax.linen:Dense", "fields": [["features", 3]]},
    ),
    (
        Pair(1, 2),
        {"$type": "namedtuple", "class": "promises>Pair", "fields": [["left", 1], ["right", 2]]},
    ),
    (SimpleNamespace(a=1), {"$type": "namespace", "items": [["a", 1]]}),
    (
        Opaque("text"),
        {"$type": "object", "class": "promises>Opaque", "protocol": "registered", "config": "text"},
    ),
    (OrderedDict(b=1), {"$type": "ordered_dict", "items": [["b", 1]]}),
    (
        functools.partial(double, by=3),
        {
            "$type": "partial",
            "tree": False,
            "func": {"$type": "function", "name": "promises>double"},
            "args": [],
            "keywords": [["by", 3]],
        },
    ),
    (PartitionSpec("x", None), {"$type": "partition_spec", "items": ["x", None]}),
    (range(1, 9, 3), {"$type": "range", "start": 1, "stop": 9, "step": 3}),
    ({1}, {"$type": "set", "items": [1]}),
    (slice(1, None, 2), {"$type": "slice", "start": 1, "stop": None, "step": 2}),
    ((1, "a"), {"$type": "tuple", "items": [1, "a"]}),
]


def stored(module):
    return json.loads(json.dumps(FlaxLayer(module).get_config()["module"]))


def arguments(**kwargs):
    positional = {"$type": "tuple", "items": [SLOT]}
    named = {"$type": "dict", "items": [list(item) for item in kwargs.items()]}
    return {"$type": "tuple", "items": [positional, named]}


@pytest.mark.law("S1")
@pytest.mark.parametrize(("value", "form"), FORMS, ids=[form["$type"] for _, form in FORMS])
def test_the_form_of_a_value_in_a_file_is_this(value, form):
    root = {"$type": "module", "class": "promises>Holds", "fields": [["value", form]]}
    assert stored(Holds(value)) == {"$type": "flaxlayer.module", "version": 1, "root": root}


@pytest.mark.law("S1")
def test_the_form_of_a_value_at_two_places_is_this():
    one = Point(1)
    first, second = dict(stored(Holds(one, one))["root"]["fields"]).values()
    form = {"$type": "dataclass", "class": "promises>Point", "fields": [["x", 1]], "id": 0}
    assert (first, second) == (form, {"$type": "ref", "id": 0})


@pytest.mark.law("S5")
def test_the_form_of_a_method_that_makes_the_module_is_this():
    maker = {"$type": "dataclass", "class": "promises>Maker", "fields": [["width", 3]]}
    assert stored(Maker(3).make)["root"] == {"$type": "bound", "self": maker, "name": "make"}


@pytest.mark.law("S4")
@needs_nnx
def test_the_form_of_an_object_of_nnx_is_this():
    @register
    class Object(nnx.Module):
        def __init__(self, width, rngs):
            self.width, self.dense = width, nnx.Linear(4, width, rngs=rngs)

        def __call__(self, x):
            return self.dense(x)

        def get_config(self):
            return {"width": self.width}

    form = stored(Object(3, rngs=nnx.Rngs(params=1)))
    named = {"func": {"$type": "class", "name": "promises>Object"}, "keywords": [["width", 3]]}
    root = {"$type": "partial", "tree": False, **named, "args": []}
    known = {"$type": "flaxlayer.module", "version": 1, "streams": []}
    assert form == {**known, "root": root}


@pytest.mark.law("S1")
def test_the_configuration_of_a_layer_has_these_keys():
    config = FlaxLayer(Holds(), seed=3, name="net").get_config()
    del config["dtype"], config["module"]
    policy = {"trainable": ["params"], "state": [], "transient": ["intermediates", "perturbations"]}
    assert config == {
        "name": "net",
        "trainable": True,
        **dict.fromkeys(("method", "init_method", "rngs", "training_arg", "sharing")),
        **{"rng_args": {}, "mask_arg": "auto", "state_updates": "always", "return_sown": []},
        **{"losses": ["losses"], "seed": 3, "native_serialization_platforms": None},
        **{"collections": policy, "frozen": [], "explicit_dtype": False},
    }


@pytest.mark.law("S4")
def test_the_configuration_of_a_method_has_these_keys():
    layer = FlaxLayer(nn.Dense(4), seed=3, name="net")
    layer(X)
    config = layer.method("__call__", name="other").get_config()
    inner = config.pop("layer")
    del config["dtype"]
    named = {"name": "other", "trainable": True, "method": "__call__"}
    assert config == {**named, "training_arg": None, "mask_arg": "auto"}
    assert inner["registered_name"] == "flaxlayer>FlaxLayer"
    assert inner["config"] == layer.get_config()
    assert inner["build_config"] == layer.get_build_config()


@pytest.mark.parametrize("name", ["FlaxLayer", "FlaxMethod", "PackedArguments"])
def test_a_class_in_the_files_of_keras_has_this_name(name):
    assert keras.saving.get_registered_object(f"flaxlayer>{name}").__name__ == name


@pytest.mark.law("A1")
def test_packed_arguments_in_a_file_are_these():
    x = keras.Input((4,))
    model = keras.Model(x, FlaxLayer(Holds())(x, mode="m"))
    (node,) = json.loads(model.to_json())["config"]["layers"][1]["inbound_nodes"]
    packed = node["kwargs"]["flax_arguments"]
    assert packed["registered_name"] == "flaxlayer>PackedArguments"
    assert packed["config"] == {"arguments": arguments(mode="m"), "flat_outputs": False}


@pytest.mark.law("W4")
def test_a_build_in_a_file_is_this():
    layer, store = FlaxLayer(Holds()), {}
    layer(X)
    layer.save_own_variables(store)
    build = {"arguments": arguments(), "arrays": [[[2, 4], "float32"]]}
    assert layer.get_build_config() == build
    assert json.loads(np.asarray(store["%inputs"]).tobytes()) == build


@pytest.mark.law("W3")
def test_the_keys_of_weights_in_a_file_are_these():
    class Own(FlaxLayer):
        def build(self, input_shape):
            super().build(input_shape)
            self.scale = self.add_weight(shape=(), name="scale")

    layer, store = Own(Holds()), {}
    layer(X)
    layer.save_own_variables(store)
    norm = {f"batch_stats.BatchNorm_0.{name}" for name in ("mean", "var")}
    norm |= {f"params.BatchNorm_0.{name}" for name in ("bias", "scale")}
    late = {"late.__made__", "late.n"}
    assert set(store) == {"%inputs", "%own.0", "state.a%2Fb%2Ec", *norm, *late}


def tag(name):
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


@pytest.mark.law("R2")
def test_the_keys_of_init_and_of_calls_are_these():
    layer = FlaxLayer(Holds(), seed=3)
    layer(X)
    base = jax.random.fold_in(jax.random.key(3), 0)
    init = jax.random.fold_in(base, tag("flaxlayer/init"))
    assert layer.init_rngs()["params"] == jax.random.fold_in(init, tag("params"))
    rngs = layer.peek_rngs(training=True)
    assert rngs["dropout"] == jax.random.fold_in(base, tag("dropout"))
