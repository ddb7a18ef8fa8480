"""What shares weights in a model shares them again in each copy, and with nothing else (S2, S4)."""

import copy
import json
import pickle
import threading

import flax.linen as nn
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, FlaxMethod

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class Auto(nn.Module):
    def setup(self):
        self.code = nn.Dense(3)
        self.back = nn.Dense(4)

    def __call__(self, x):
        return self.back(self.code(x))

    def encode(self, x):
        return self.code(x)


def make_model(*, method_first=False):
    layer = FlaxLayer(Auto(), name="auto", init_method="__call__")
    layer.build((None, 4))
    tensor = keras.Input((4,))
    encode = layer.method("encode", name="encode")
    parts = [encode, layer] if method_first else [layer, encode]
    return keras.Model(tensor, [part(tensor) for part in parts], name="m")


class Nested(keras.Model):
    """A user's class with parts that it takes out of its configuration by itself."""

    def __init__(self, first, second, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = first, second

    def call(self, x):
        return self.first(x), self.second(x)

    def get_config(self):
        parts = {"first": self.first, "second": self.second}
        stored = {name: keras.saving.serialize_keras_object(part) for name, part in parts.items()}
        return {**super().get_config(), **stored}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("first", "second"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def make_nested():
    layer = FlaxLayer(Auto(), name="auto", init_method="__call__")
    layer.build((None, 4))
    model = Nested(layer.method("encode"), layer)
    model(X)
    return model


def _load(model, folder):
    model.save(folder / "model.keras")
    return lambda: keras.saving.load_model(
        folder / "model.keras", custom_objects={"Nested": Nested}
    )


WAYS = {
    "file": _load,
    "JSON": lambda model, _: (
        lambda: keras.models.model_from_json(json_of(model), custom_objects={"Nested": Nested})
    ),
    "from_config": lambda model, _: lambda: type(model).from_config(model.get_config()),
    "clone": lambda model, _: lambda: keras.models.clone_model(model),
    "copy": lambda model, _: lambda: copy.deepcopy(model),
    "pickle": lambda model, _: lambda: pickle.loads(pickle.dumps(model)),
}


def json_of(model):
    return model.to_json()


def shared_layers(model):
    layers = list(model._flatten_layers(include_self=False))
    found = [layer.layer if isinstance(layer, FlaxMethod) else layer for layer in layers]
    return [layer for layer in found if isinstance(layer, FlaxLayer)]


@pytest.mark.law("S4")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ["layer first", "method first"])
def test_what_shares_weights_in_a_model_shares_them_in_each_copy_and_no_further(
    way, order, tmp_path
):
    model = make_model(method_first=order == "method first")
    make = WAYS[way](model, tmp_path)
    models = [model, make(), make()]
    for each in models:
        assert len({id(layer) for layer in shared_layers(each)}) == 1
    assert len({id(layer) for each in models for layer in shared_layers(each)}) == 3
    before = [np.array(part) for part in models[1].get_weights()]
    models[2].set_weights([weight + 1 for weight in models[2].get_weights()])
    for left, right in zip(before, models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.law("S4")
@pytest.mark.parametrize("way", ["file", "from_config"])
def test_a_user_s_class_that_reads_its_parts_itself_shares_them_again(way, tmp_path):
    make = WAYS[way](make_nested(), tmp_path)
    models = [make(), make()]
    assert all(each.first.layer is each.second for each in models)
    assert models[0].second is not models[1].second


@pytest.mark.law("S2")
@pytest.mark.parametrize("alone", [False, True], ids=["in a model", "by itself"])
def test_a_file_joins_no_layer_of_another_file_by_its_token(alone):
    layer = FlaxLayer(Auto(), name="auto", init_method="__call__")
    layer.build((None, 4))
    method = layer.method("encode", name="encode")
    honest = keras.saving.serialize_keras_object(layer)
    hostile = keras.saving.serialize_keras_object(method)
    assert hostile["config"]["layer"]["config"]["sharing"] == honest["config"]["sharing"]

    def load(config):
        if alone:
            return keras.saving.deserialize_keras_object(copy.deepcopy(config))
        parts = {"name": "m", "trainable": True, "layers": [config]}
        model = {"module": "keras", "class_name": "Sequential", "config": parts}
        return keras.models.model_from_json(json.dumps({**model, "registered_name": None})).layers[
            0
        ]

    first, second, third = load(honest), load(hostile), load(honest)
    assert len({id(each) for each in (layer, first, second.layer, third)}) == 4


@pytest.mark.law("S2")
def test_two_configurations_read_one_after_the_other_join_nothing():
    layer = FlaxLayer(Auto(), name="auto", init_method="__call__")
    config = layer.method("encode", name="encode").get_config()
    methods = [FlaxMethod.from_config(config) for _ in range(2)]
    again = FlaxLayer.from_config({**config["layer"]["config"], "name": "other"})
    assert len({id(each) for each in (*(m.layer for m in methods), again)}) == 3


@pytest.mark.law("S2")
def test_threads_that_load_one_file_at_once_join_nothing():
    text, barrier, models = make_model().to_json(), threading.Barrier(2), []

    def load():
        barrier.wait()
        models.append(keras.models.model_from_json(text))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(layer) for model in models for layer in shared_layers(model)}) == 2
