"""Files and configurations made by hand are refused: nothing runs, is imported or changes (S2)."""

import builtins
import contextlib
import copy
import importlib
import json
import zipfile

import flax.linen as nn
import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxlayer import FlaxLayer, FlaxMethod
from flaxlayer_core import (
    AcceptModuleError,
    DecodeModuleError,
    FlaxLayerError,
    InspectMethodError,
)
from packages.layer.tests.saving.hostile_configs import (
    EXECUTED,
    JSON,
    HostileNet,
    assert_explained,
    paths,
    place,
    stored,
)


@keras.saving.register_keras_serializable("hostile")
class NoModule:
    """Registered with Keras, as any user's class may be."""

    def __init__(self, *args, **kwargs):
        EXECUTED.append("NoModule")

    @classmethod
    def from_config(cls, config):
        EXECUTED.append("NoModule.from_config")
        return cls()

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable("hostile")
def no_module(*args, **kwargs):
    EXECUTED.append("no_module")


@contextlib.contextmanager
def recorded_imports():
    """Collects the names of everything that is imported."""
    seen = set()
    real_import, real_module = builtins.__import__, importlib.import_module

    def record(name, *args, **kwargs):
        seen.add(name)
        return real_import(name, *args, **kwargs)

    def record_module(name, package=None):
        seen.add(name)
        return real_module(name, package)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "__import__", record)
        patch.setattr(importlib, "import_module", record_module)
        yield seen


@pytest.fixture
def no_imports():
    """Asserts that nothing is imported that a test's names stand for."""
    with recorded_imports() as seen:
        yield
    assert not seen & {"os", "posix", "subprocess", "antigravity", "keras.utils", "elsewhere"}


def test_the_record_of_imports_would_show_one():
    with recorded_imports() as seen:
        importlib.import_module("colorsys")
    assert "colorsys" in seen


def stored_method():
    layer = FlaxLayer(HostileNet(), name="net")
    layer.build((None, 4))
    method = layer.method("encode", name="encode")
    return json.loads(json.dumps(keras.saving.serialize_keras_object(method)))


MODULE = ("config", "module", "root")
CLASSES = [
    "os:system",
    "os.system",
    "posix:system",
    "builtins:eval",
    "builtins:exec",
    "subprocess:Popen",
    "importlib:import_module",
    "keras.utils:get_file",
    "flaxlayer.layer:FlaxLayer",
    "flaxlayer>FlaxLayer",
    "flaxlayer>Slot",
    "hostile>NoModule",
    "hostile>no_module",
    "flax.linen:relu",
    "flax.linen:Dense.__init__",
    "flax.linen:Dense.__globals__",
    "__main__:HostileNet",
    "",
    "antigravity",
    None,
    7,
    ["os:system"],
]


def routes(config):
    """Loads a layer's configuration by each route that reads one."""
    model = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "m", "trainable": True, "layers": [config]},
        "registered_name": None,
    }
    yield lambda: FlaxLayer.from_config(copy.deepcopy(config["config"]))
    yield lambda: keras.saving.deserialize_keras_object(copy.deepcopy(config))
    yield lambda: keras.models.model_from_json(json.dumps(model))
    yield lambda: FlaxMethod.from_config(
        {
            "name": "m",
            "method": "encode",
            "layer": {"registered_name": "flaxlayer>FlaxLayer", **config},
        }
    )


@pytest.mark.law("S2")
@pytest.mark.parametrize("name", CLASSES, ids=repr)
def test_a_class_that_is_no_known_module_class_is_refused_by_every_route(name, no_imports):
    config = place(stored(), (*MODULE, "class"), name)
    for load in routes(config):
        with pytest.raises((DecodeModuleError, TypeError, ValueError)):
            load()


@pytest.mark.law("S2")
@pytest.mark.parametrize("name", CLASSES, ids=repr)
def test_a_function_or_object_in_the_place_of_the_module_is_refused(name):
    for tag in ("function", "class", "enum"):
        config = place(stored(), MODULE, {"$type": tag, "name": name})
        for load in routes(config):
            with pytest.raises((DecodeModuleError, AcceptModuleError, TypeError)):
                load()


METHODS = [
    "__init__",
    "__class__",
    "__post_init__",
    "__getattr__",
    "__reduce__",
    "apply",
    "init",
    "init_with_output",
    "bind",
    "clone",
    "copy",
    "lazy_init",
    "param",
    "tabulate",
    "unbind",
    "variables",
    "_private",
    "features",
    "a.b",
    "encode.__globals__",
    "",
    "absent",
]


@pytest.mark.law("S2")
@pytest.mark.parametrize("field", ["method", "init_method"])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_is_no_public_method_is_refused(field, name):
    config = place(stored(), ("config", field), name)
    for load in routes(config):
        with pytest.raises(InspectMethodError, match="no such public method"):
            load()


@pytest.mark.law("S2")
@pytest.mark.parametrize("name", METHODS)
def test_a_method_layer_reaches_only_public_methods(name):
    config = place(stored_method(), ("config", "method"), name)
    with pytest.raises(InspectMethodError, match="no such public method"):
        keras.saving.deserialize_keras_object(config)


@pytest.mark.law("S2")
@pytest.mark.parametrize(
    "method",
    [
        {"$type": "function", "name": "os:system"},
        {"$type": "function", "name": "builtins:eval"},
        {"$type": "class", "name": "hostile>NoModule"},
        {"$type": "class", "name": "flax.linen:Dense"},
        {
            "$type": "partial",
            "tree": False,
            "func": {"$type": "function", "name": "os:system"},
            "args": [],
            "keywords": [],
        },
        {"class_name": "__lambda__", "config": {"value": "AAAA"}},
        {"class_name": "function", "module": "os", "config": "system", "registered_name": "system"},
        7,
        ["encode"],
        True,
    ],
    ids=str,
)
def test_a_method_that_is_no_known_function_is_refused(method):
    for field in ("method", "init_method"):
        for load in routes(place(stored(), ("config", field), method)):
            with pytest.raises((DecodeModuleError, InspectMethodError)):
                load()


@pytest.mark.law("S2")
@pytest.mark.parametrize(
    "layer",
    [
        None,
        7,
        {},
        {"config": {}},
        {"registered_name": "hostile>NoModule", "config": {}},
        {"registered_name": "keras>Lambda", "config": {}},
        {"registered_name": "flaxlayer>FlaxMethod", "config": {}},
        {"module": "keras.layers", "class_name": "Lambda", "registered_name": None, "config": {}},
    ],
    ids=str,
)
def test_a_method_layer_takes_only_a_flax_layer(layer):
    config = place(stored_method(), ("config", "layer"), layer)
    with pytest.raises(DecodeModuleError):
        keras.saving.deserialize_keras_object(config)


@pytest.mark.law("S2")
@pytest.mark.parametrize("field", ["dtype", "activity_regularizer"])
@pytest.mark.parametrize(
    "value",
    [
        {"class_name": "NoModule", "registered_name": "hostile>NoModule", "config": {}},
        {"class_name": "function", "module": "os", "config": "system"},
        {"class_name": "__lambda__", "config": {"value": "AAAA"}},
        {"class_name": "Lambda", "module": "keras.layers", "config": {}},
        {"class_name": "get", "module": "keras.regularizers", "config": {}},
        {"class_name": "__builtins__", "module": "keras.regularizers", "config": {}},
        {"class_name": "DTypePolicy", "config": {"name": ["x"]}},
        {"class_name": "L2", "config": {"other": 1}},
        {"class_name": ["L2"], "config": {}},
        {},
    ],
    ids=str,
)
def test_keras_objects_in_a_layer_s_config_are_of_their_kind(field, value, no_imports):
    config = place(stored(), ("config", field), value)
    with pytest.raises(DecodeModuleError, match=field):
        FlaxLayer.from_config(config["config"])


@pytest.mark.law("S2")
@pytest.mark.parametrize(
    "module",
    [
        {"module": "os", "class_name": "system", "config": {}, "registered_name": "system"},
        {
            "module": "hostile",
            "class_name": "NoModule",
            "config": {},
            "registered_name": "hostile>NoModule",
        },
        {"module": "hostile", "class_name": "NoModule", "config": {}, "registered_name": None},
        {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}},
        {"module": "keras.utils", "class_name": "get_file", "config": {}},
        {"class_name": "__lambda__", "config": {"value": "AAAA"}},
        {"class_name": 7, "config": {}},
        {"class_name": "flax.linen:Dense", "config": 7},
    ],
    ids=str,
)
def test_a_config_in_the_form_of_the_reference_names_only_known_module_classes(module, no_imports):
    with pytest.raises(DecodeModuleError):
        FlaxLayer.from_config({"name": "net", "module": module, "method": None})


@pytest.mark.law("S3")
@pytest.mark.parametrize("features", [10**12, 10**30, -1, 0.5, "many", None])
def test_a_module_too_large_for_the_machine_is_refused_before_allocation(features):
    fields = [["features", features]]
    config = place(stored(), (*MODULE, "fields"), fields)
    with pytest.raises(FlaxLayerError):
        keras.saving.deserialize_keras_object(config)


@pytest.mark.law("S3")
def test_a_deeply_nested_config_is_refused():
    node = stored()["config"]["module"]["root"]
    for _ in range(400):
        node = [node]
    with pytest.raises(DecodeModuleError):
        FlaxLayer.from_config(place(stored(), MODULE, node)["config"])


@pytest.mark.law("S2")
def test_packed_arguments_in_a_functional_model_are_checked():
    class Modes(nn.Module):
        @nn.compact
        def __call__(self, x, mode):
            return x

    tensor = keras.Input((4,))
    model = keras.Model(tensor, FlaxLayer(Modes(), name="modes")(tensor, "safe"))
    text = model.to_json()
    assert '"safe"' in text
    hostile = '{"$type": "function", "name": "os:system"}'
    with pytest.raises((DecodeModuleError, TypeError)):
        keras.models.model_from_json(text.replace('"safe"', hostile))


@pytest.mark.law("S2")
def test_a_hostile_file_is_refused_in_safe_mode_and_out_of_it(tmp_path):
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(HostileNet(), name="net")])
    model.save(tmp_path / "model.keras")
    marker = tmp_path / "executed"
    hostile = {
        "$type": "partial",
        "tree": False,
        "keywords": [],
        "func": {"$type": "function", "name": "os:system"},
        "args": [f"touch {marker}"],
    }
    with zipfile.ZipFile(tmp_path / "model.keras") as old:
        contents = {name: old.read(name) for name in old.namelist()}
    config = json.loads(contents["config.json"])
    config["config"]["layers"][1]["config"]["module"]["root"]["fields"] = [["features", hostile]]
    contents["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "hostile.keras", "w") as new:
        for name, content in contents.items():
            new.writestr(name, content)
    for safe_mode in (True, False, None):
        with pytest.raises(DecodeModuleError):
            keras.models.load_model(tmp_path / "hostile.keras", safe_mode=safe_mode)
    assert not marker.exists()


BASE = stored()
BASE_METHOD = stored_method()


@pytest.mark.law("S2")
@settings(max_examples=150, derandomize=True, database=None)
@given(st.sampled_from(list(paths(BASE["config"]))), JSON)
def test_any_value_at_any_place_is_taken_or_refused_with_an_explanation(path, value):
    with recorded_imports() as seen:
        try:
            layer = FlaxLayer.from_config(place(BASE["config"], path, value))
        except (FlaxLayerError, ValueError, TypeError) as error:
            assert_explained(error)
        else:
            assert isinstance(layer.module, nn.Module)
    assert "os" not in seen


@pytest.mark.law("S2")
@settings(max_examples=60, derandomize=True, database=None)
@given(st.sampled_from(list(paths(BASE_METHOD["config"]))), JSON)
def test_any_value_at_any_place_of_a_method_layer_is_taken_or_refused(path, value):
    try:
        FlaxMethod.from_config(place(BASE_METHOD["config"], path, value))
    except (FlaxLayerError, ValueError, TypeError) as error:
        assert_explained(error)


@pytest.mark.law("S2")
def test_a_refused_config_makes_nothing_known():
    before = dict(keras.saving.get_custom_objects())
    with pytest.raises(DecodeModuleError):
        FlaxLayer.from_config(place(stored(), (*MODULE, "class"), "os:system")["config"])
    assert keras.saving.get_custom_objects() == before
