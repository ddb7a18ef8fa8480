"""What a user hands over becomes known; what a file names does not (S2, S6)."""

import contextlib
import copy
import enum
import json

import flax.linen as nn
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, FlaxMethod
from flaxlayer_core import DecodeModuleError, FlaxLayerError, decode_value
from flaxlayer_core.config import world

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


def unknown_class():
    """A module class that nothing but its object refers to."""

    class Mode(enum.Enum):
        ONE = 1

    class Unknown(nn.Module):
        mode: object = None

        @nn.compact
        def __call__(self, x, kind=None):
            if STOP:
                raise STOP[0]
            return nn.Dense(2)(x)

        def other(self, x):
            return self(x)

    return Unknown, Mode


STOP = []


@pytest.fixture
def known():
    """The tables of what is known, as they were; they are put back."""
    STOP.clear()
    before = dict(world._remembered), dict(world._registered)
    yield before
    STOP.clear()
    for table, old in zip((world._remembered, world._registered), before, strict=True):
        table.clear()
        table.update(old)


def is_as_before(known):
    return (dict(world._remembered), dict(world._registered)) == known


@pytest.fixture
def stored(known):
    """Configurations of a layer and a method whose classes are known to no one any more."""
    Unknown, Mode = unknown_class()
    layer = FlaxLayer(Unknown(Mode.ONE), name="net", init_method="__call__")
    layer(X, kind=Mode.ONE)
    layer.method("other", name="other")
    method = layer.method("other", name="other")
    configs = [keras.saving.serialize_keras_object(each) for each in (layer, method)]
    for name in set(world._remembered) - set(known[0]):
        del world._remembered[name]
    assert is_as_before(known)
    names = {cls.__name__: cls for cls in (Unknown, Mode)}
    return json.loads(json.dumps(configs)), names


def loads(configs):
    layer, method = configs
    parts = {"name": "m", "trainable": True, "layers": [layer]}
    model = {"module": "keras", "class_name": "Sequential", "config": parts}
    text = json.dumps({**model, "registered_name": None})
    return {
        "layer": lambda: FlaxLayer.from_config(copy.deepcopy(layer["config"])),
        "object": lambda: keras.saving.deserialize_keras_object(copy.deepcopy(layer)),
        "method": lambda: FlaxMethod.from_config(copy.deepcopy(method["config"])),
        "method object": lambda: keras.saving.deserialize_keras_object(copy.deepcopy(method)),
        "JSON": lambda: keras.models.model_from_json(text),
    }


ROUTES = list(loads([{"config": {}}, {"config": {}}]))
FAILURES = {"an error": ValueError("no"), "an interrupt": KeyboardInterrupt()}


@pytest.mark.law("S6")
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("route", ROUTES)
def test_what_a_scope_gave_is_forgotten_after_a_load_that_failed(route, failure, stored, known):
    configs, names = stored
    STOP.append(FAILURES[failure])
    ends = contextlib.suppress(FlaxLayerError, KeyboardInterrupt)
    with keras.saving.custom_object_scope(names), ends:
        loads(configs)[route]()
    assert is_as_before(known)
    STOP.clear()
    with pytest.raises(DecodeModuleError, match="Unknown"):
        loads(configs)[route]()


@pytest.mark.law("S2")
@pytest.mark.parametrize("route", ROUTES)
def test_what_a_scope_gave_is_known_by_a_configuration_that_is_asked_for(route, stored, known):
    configs, names = stored
    with keras.saving.custom_object_scope(names):
        loaded = loads(configs)[route]()
    assert is_as_before(known)
    config = keras.saving.serialize_keras_object(loaded)
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(again) is type(loaded)


@pytest.mark.law("S4")
def test_a_model_that_was_loaded_with_custom_objects_is_cloned_copied_and_saved_again(
    stored, tmp_path
):
    (layer, _), names = stored
    with keras.saving.custom_object_scope(names):
        made = keras.saving.deserialize_keras_object(layer)
    model = keras.Sequential([keras.Input((4,)), made])
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").layers[0].name == "net"
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for each in (clone, copy.deepcopy(model), keras.saving.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(each.predict(X, verbose=0), expected)
    assert made.method("other")(X).shape == (2, 2)


@pytest.mark.law("S2", "W4")
def test_custom_objects_are_enough_for_a_model_that_was_called_with_what_they_name(known, tmp_path):
    Unknown, Mode = unknown_class()
    tensor = keras.Input((4,))
    model = keras.Model(tensor, FlaxLayer(Unknown(), name="net")(tensor, kind=Mode.ONE))
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "model.keras")
    for name in set(world._remembered) - set(known[0]):
        del world._remembered[name]
    with pytest.raises(FlaxLayerError, match="Unknown"):
        keras.saving.load_model(tmp_path / "model.keras")
    names = {cls.__name__: cls for cls in (Unknown, Mode)}
    # Keras reads the weights when the names are gone again, and the layer is built by then.
    loaded = keras.saving.load_model(tmp_path / "model.keras", custom_objects=names)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), expected)


class Modes(nn.Module):
    @nn.compact
    def __call__(self, x, mode):
        return nn.Dense(2)(x)


@pytest.mark.law("S6")
def test_the_arguments_of_a_file_become_known_by_no_call_that_fails(known):
    tensor = keras.Input((4,))
    model = keras.Model(tensor, FlaxLayer(Modes(), name="modes")(tensor, "sum"))
    text = model.to_json()
    # What has no class is no object of one for Keras, and reaches the layer as it is.
    changed = text.replace('"class_name": "PackedArguments", ', "")
    assert changed != text
    before = dict(world._remembered), dict(world._registered)
    with pytest.raises(FlaxLayerError, match="flax_arguments"):
        keras.models.model_from_json(changed)
    assert is_as_before(before)


@pytest.mark.law("S2")
def test_what_a_user_hands_to_a_layer_that_was_loaded_becomes_known(stored, known):
    (layer, _), names = stored
    with keras.saving.custom_object_scope(names):
        made = keras.saving.deserialize_keras_object(layer)

    class Given(enum.Enum):
        TWO = 2

    made(X, kind=Given.TWO)
    name = f"{Given.__module__}:{Given.__qualname__}"
    assert decode_value({"$type": "class", "name": name}, path="kind") is Given
