"""Any value in the place of another ends in a layer, or in an error that can be read (S6)."""

import functools
import json
import zipfile

import flax.linen as nn
import keras
import pytest

from flaxlayer import FlaxLayer, FlaxMethod
from flaxlayer_core import FlaxLayerError

pytestmark = pytest.mark.slow

LONGEST = 5000


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, *, scale=1.0):
        return nn.Dense(2)(x) * scale

    def encode(self, x):
        return self(x)


def nested(depth, leaf=None):
    for _ in range(depth):
        leaf = [leaf]
    return leaf


def nested_objects(depth):
    leaf = {}
    for _ in range(depth):
        leaf = {"config": leaf, "class_name": "L2"}
    return leaf


# Made anew for each case: what is loaded may change what it is given.
VALUES = {
    "null": lambda: None,
    "true": lambda: True,
    "zero": lambda: 0,
    "negative": lambda: -1,
    "large": lambda: 10**30,
    "huge": lambda: 10**5000,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "empty text": lambda: "",
    "slash": lambda: "a/b",
    "control characters": lambda: "\x00\x1b[31m\ud800",
    "long text": lambda: "x" * 100_000,
    "list": lambda: [],
    "list of text": lambda: ["a"],
    "list of one text": lambda: ["cpu", "cpu"],
    "list of wrong things": lambda: [None, 1, {"a": []}, [1.5]],
    "list of long text": lambda: ["x" * 100_000] * 3,
    "list of the longest names": lambda: ["x" * 1024] * 3,
    "list of huge": lambda: [10**5000],
    "deep list": lambda: nested(90_000),
    "deep list of text": lambda: nested(300, "a"),
    "object": dict,
    "object of text": lambda: {"a": "b"},
    "object of wrong things": lambda: {"a": [1, {"b": None}], "$type": 7, "class_name": []},
    "deep object": lambda: nested_objects(90_000),
    "wide object": lambda: {str(i): i for i in range(10_000)},
}
TEXT = {name: make for name, make in VALUES.items() if "deep" not in name and "huge" not in name}
# To write a file and read it takes as long as all the rest.
FILED = ("null", "negative", "list of wrong things")


@functools.cache
def stored_text():
    layer = FlaxLayer(Net(), name="net", seed=1)
    layer.build((None, 4))
    config = keras.saving.serialize_keras_object(layer)
    return json.dumps(config)


def stored():
    return json.loads(stored_text())


@functools.cache
def stored_method_text():
    method = FlaxLayer(Net(), name="net").method("encode", name="encode")
    return json.dumps(method.get_config())


def stored_method():
    return json.loads(stored_method_text())


def load_file(config, folder):
    path = folder / "model.keras"
    if not path.exists():
        layer = FlaxLayer(Net(), name="net", seed=1)
        keras.Sequential([keras.Input((4,)), layer], name="m").save(path)
    with zipfile.ZipFile(path) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    model = json.loads(contents["config.json"])
    model["config"]["layers"][1] = config
    contents["config.json"] = json.dumps(model).encode()
    with zipfile.ZipFile(folder / "odd.keras", "w") as new:
        for name, content in contents.items():
            new.writestr(name, content)
    return keras.models.load_model(folder / "odd.keras")


def load_json(config):
    model = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "m", "trainable": True, "layers": [config]},
        "registered_name": None,
    }
    return keras.models.model_from_json(json.dumps(model))


def nest(config):
    return {"name": "m", "method": "encode", "layer": config}


def end(load, case):
    """Loads, and fails for what is neither a layer nor an error of ours that can be read."""
    try:
        load()
    except FlaxLayerError as error:
        assert len(str(error)) < LONGEST, case
    except Exception as error:
        pytest.fail(f"{case}: {type(error).__name__}: {str(error)[:300]}")


def routes(config, folder, name):
    yield "layer", lambda: FlaxLayer.from_config(config["config"])
    yield "object", lambda: keras.saving.deserialize_keras_object(config)
    yield "method", lambda: FlaxMethod.from_config(nest(config))
    if name in TEXT:
        yield "JSON", lambda: load_json(config)
    if name in FILED:
        yield "file", lambda: load_file(config, folder)


KEYS = sorted({*stored()["config"], "activity_regularizer", "given", "unknown", "variables"})


@pytest.mark.law("S6")
@pytest.mark.parametrize("key", KEYS)
def test_any_value_of_a_key_is_taken_or_refused(key, tmp_path):
    for name, make in VALUES.items():
        config = stored()
        del config["build_config"]
        config["config"][key] = make()
        for route, load in routes(config, tmp_path, name):
            end(load, f"{key} is {name}, by {route}")


@pytest.mark.law("S6")
@pytest.mark.parametrize("key", sorted(stored()["config"]))
def test_a_key_that_is_missing_is_taken_or_refused(key, tmp_path):
    config = stored()
    del config["config"][key]
    for route, load in routes(config, tmp_path, "null"):
        end(load, f"no {key}, by {route}")


@pytest.mark.law("S6")
@pytest.mark.parametrize("key", sorted({*stored_method(), "activity_regularizer", "unknown"}))
def test_any_value_of_a_key_of_a_method_is_taken_or_refused(key):
    for name, make in VALUES.items():
        config = stored_method()
        config[key] = make()
        end(lambda config=config: FlaxMethod.from_config(config), f"{key} is {name}")
        wrapped = {"registered_name": "flaxlayer>FlaxMethod", "class_name": "FlaxMethod"}
        wrapped |= {"module": "flaxlayer.methods", "config": stored_method() | {key: make()}}
        end(lambda w=wrapped: keras.saving.deserialize_keras_object(w), f"{key} is {name} there")


@pytest.mark.law("S6")
@pytest.mark.parametrize("key", ["registered_name", "config", "build_config", "unknown"])
def test_any_value_in_the_layer_of_a_method_is_taken_or_refused(key):
    for name, make in VALUES.items():
        config = stored_method()
        config["layer"][key] = make()
        end(lambda config=config: FlaxMethod.from_config(config), f"{key} is {name}")


@pytest.mark.law("S6")
@pytest.mark.parametrize(
    "key", ["arguments", "arrays", "given", "input_shape", "shapes_dict", "unknown", ""]
)
def test_any_value_of_what_a_layer_is_built_for_is_taken_or_refused(key):
    for name, make in VALUES.items():
        config = stored()
        alone = key in ("input_shape", "shapes_dict")
        changed = {} if alone else config["build_config"]
        config["build_config"] = {**changed, key: make()} if key else make()
        end(lambda config=config: keras.saving.deserialize_keras_object(config), f"{key}: {name}")
        layer = FlaxLayer.from_config(stored()["config"])
        end(lambda la=layer, c=config: la.build_from_config(c["build_config"]), f"{key}: {name}")


@keras.saving.register_keras_serializable("odd")
class Reads(nn.Module):
    """A module of a user who reads a configuration without care."""

    size: object = 2

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.size)(x)

    def get_config(self):
        return {"size": self.size}

    @classmethod
    def from_config(cls, config):
        if config.get("deep"):
            repr(config["deep"])
        return cls(size=int(config["size"]) + config.get("more", 0))


@pytest.mark.law("S6")
@pytest.mark.parametrize("key", ["size", "more", "deep", ""])
def test_a_configuration_in_the_form_of_the_reference_is_taken_or_refused(key):
    for name, make in VALUES.items():
        config = {"size": 2}
        module = {"class_name": "Reads", "module": "odd", "registered_name": "odd>Reads"}
        module["config"] = {**config, key: make()} if key else make()
        full = {"name": "net", "module": module, "method": None}
        end(lambda full=full: FlaxLayer.from_config(full), f"{key} is {name}")
        if name == "zero":
            continue
        method = {"name": "net", "module": {**module, "config": config}, "method": make()}
        end(lambda method=method: FlaxLayer.from_config(method), f"the method is {name}")


@functools.cache
def functional_text():
    tensor = keras.Input((4,), name="x")
    return keras.Model(tensor, FlaxLayer(Net(), name="net")(tensor, scale=2.0), name="m").to_json()


def packed(model):
    return model["config"]["layers"][1]["inbound_nodes"][0]["kwargs"]


@pytest.mark.law("S6")
@pytest.mark.parametrize("key", ["", "arguments", "flat_outputs", "other"])
def test_any_value_of_recorded_arguments_is_taken_or_refused(key):
    for name, make in VALUES.items():
        if name not in TEXT:
            continue
        model = json.loads(functional_text())
        kwargs = packed(model)
        if key == "":
            kwargs["flax_arguments"] = make()
        elif key == "other":
            kwargs["scale"] = make()
        else:
            kwargs["flax_arguments"]["config"][key] = make()
        end(lambda model=model: keras.models.model_from_json(json.dumps(model)), f"{key}: {name}")


@pytest.mark.law("S6")
@pytest.mark.parametrize("items", [0, 2, 5])
def test_recorded_arguments_of_another_number_of_arrays_are_refused(items):
    model = json.loads(functional_text())
    arguments = packed(model)["flax_arguments"]["config"]["arguments"]
    slots = [
        {"$type": "dataclass", "class": "flaxlayer>Slot", "fields": [["index", index]]}
        for index in range(items)
    ]
    arguments["items"][0]["items"] = slots
    with pytest.raises(FlaxLayerError):
        keras.models.model_from_json(json.dumps(model))


@keras.saving.register_keras_serializable("odd")
class NoRegularizer:
    """Registered, and nothing that a layer has."""

    made: list = []  # noqa: RUF012

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        cls.made.append(config)
        return cls()


@pytest.mark.law("S2")
@pytest.mark.parametrize("name", ["odd>NoRegularizer", "NoRegularizer"])
def test_a_regularizer_by_its_name_is_one(name):
    config = stored()["config"]
    assert FlaxLayer.from_config({**config, "activity_regularizer": "l2"}).activity_regularizer
    with pytest.raises(FlaxLayerError):
        FlaxLayer.from_config({**config, "activity_regularizer": name})
    assert NoRegularizer.made == []
