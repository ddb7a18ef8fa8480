"""The inputs of a build in a file are checked before anything is built (S2, S3)."""

import copy
import json

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxlayer import FlaxLayer
from flaxlayer_core import (
    BuildModuleError,
    DecodeModuleError,
    FlaxLayerError,
)
from packages.layer.tests.saving.hostile_configs import JSON, assert_explained, paths, place, stored

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


@pytest.mark.law("S3")
@pytest.mark.parametrize(
    "arrays",
    [
        [[[None, 10**12], "float32"]],
        [[[10**9, 10**9], "float32"]],
        [[[None, -4], "float32"]],
        [[[None, 4.0], "float32"]],
        [[[None, "4"], "float32"]],
        [[[None, True], "float32"]],
        [[[1] * 10_000, "float32"]],
        [[[None, 2**31], "int8"]],
        [[[None, 4], "object"]],
        [[[None, 4], "U8"]],
        [[[None, 4], "datetime64"]],
        [[[None, 4], "no such dtype"]],
        [[[None, 4], 7]],
        [[None, "float32"]],
        [["shape", "float32"]],
        [[None, 4]],
        [[[None, 4], "float32"]] * 2,
        [],
        None,
        "arrays",
        {"0": [[None, 4], "float32"]},
    ],
    ids=lambda value: str(value)[:40],
)
def test_build_inputs_of_another_form_are_refused_before_anything_is_built(arrays):
    config = place(stored(), ("build_config", "arrays"), arrays)
    with pytest.raises((DecodeModuleError, BuildModuleError)):
        keras.saving.deserialize_keras_object(config)


@pytest.mark.law("S3")
@pytest.mark.parametrize("name", ["1e999", "f4,f4", "(2,)f4", "1," * 9, "a" * 999])
def test_the_name_of_a_dtype_is_no_expression_for_numpy_to_parse(name, monkeypatch):
    config, read, asked = stored(), jax.numpy.dtype, []
    monkeypatch.setattr(jax.numpy, "dtype", lambda given: asked.append(given) or read(given))
    changed = place(config, ("build_config", "arrays"), [[[None, 4], name]])
    with pytest.raises(DecodeModuleError, match="arrays"):
        keras.saving.deserialize_keras_object(changed)
    assert name not in asked


@pytest.mark.law("S3")
@pytest.mark.parametrize(
    "arguments",
    [
        None,
        7,
        [],
        {"$type": "tuple", "items": []},
        {"$type": "tuple", "items": [{"$type": "tuple", "items": []}, []]},
        {"$type": "function", "name": "os:system"},
        {"$type": "unknown"},
        {"class_name": "Lambda", "config": {}},
    ],
    ids=str,
)
def test_arguments_of_another_form_are_refused(arguments):
    config = place(stored(), ("build_config", "arguments"), arguments)
    with pytest.raises(FlaxLayerError):
        keras.saving.deserialize_keras_object(config)


@pytest.mark.law("S3")
@pytest.mark.parametrize("index", [-1, 1, 10**9, "0", None, [0]])
def test_an_array_that_stands_at_no_place_is_refused(index):
    config = stored()
    text = json.dumps(config["build_config"]["arguments"])
    changed = json.loads(text.replace('["index", 0]', json.dumps(["index", index])))
    assert json.dumps(changed) != text
    with pytest.raises(FlaxLayerError):
        keras.saving.deserialize_keras_object(place(config, ("build_config", "arguments"), changed))


@pytest.mark.law("S3")
@pytest.mark.parametrize(
    "shape",
    [7, "abc", {"x": 7}, [[None, "4"]], [None, -4], [None, 10**12], [10**9, 10**9], [1] * 1000],
    ids=lambda value: str(value)[:40],
)
def test_a_build_shape_of_keras_is_checked_in_the_same_way(shape):
    config = place(stored(), ("build_config",), {"input_shape": shape})
    with pytest.raises((FlaxLayerError, ValueError)):
        keras.saving.deserialize_keras_object(config)


@pytest.mark.law("S3")
def test_a_module_that_cannot_be_traced_is_not_built_on_oversized_inputs():
    class Branches(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x if x.sum() > 0 else -x

    layer = FlaxLayer(Branches())
    layer(X)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    huge = [[[2**30, 2**30], "float32"]]
    with pytest.raises(BuildModuleError, match="too much memory"):
        keras.saving.deserialize_keras_object(place(config, ("build_config", "arrays"), huge))


BASE = stored()


@pytest.mark.law("S3")
@settings(max_examples=60, derandomize=True, database=None)
@given(st.sampled_from(list(paths(BASE["build_config"]))), JSON)
def test_any_value_at_any_place_of_the_build_inputs_is_taken_or_refused(path, value):
    layer = FlaxLayer.from_config(copy.deepcopy(BASE["config"]))
    try:
        layer.build_from_config(place(BASE["build_config"], path, value))
    except (FlaxLayerError, ValueError, TypeError) as error:
        assert_explained(error)
        assert layer.weights == []
