"""Weights in files that say by name what does not fit (W3)."""

import h5py
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import MatchWeightsFileError
from packages.layer.tests.named_modules import Net, Odd, built, raw_bits, scramble


def model_of(layer):
    return keras.Sequential([keras.Input((4,)), layer])


@pytest.mark.law("W3")
def test_odd_names_boxes_and_dtypes_come_back_from_a_file(tmp_path):
    layer, other = built(Odd(), seed=1), built(Odd(), seed=2)
    model_of(layer).save_weights(tmp_path / "m.weights.h5")
    model_of(other).load_weights(tmp_path / "m.weights.h5")
    assert raw_bits(other.flax_variables()) == raw_bits(layer.flax_variables())


@pytest.mark.law("W3")
def test_a_file_keys_each_variable_by_its_path_as_one_flat_name(tmp_path):
    model_of(built()).save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5") as file:
        keys = list(file["layers/flax_layer/vars"])
    assert "params.encoder.proj.kernel" in keys
    assert len(set(keys) - {"%inputs"}) == 8


def edited(tmp_path, edit):
    """A file of weights after `edit(group)`, and a layer that its weights fit."""
    layer = built()
    model = model_of(layer)
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        edit(file["layers/flax_layer/vars"])
    scramble(layer)
    return model, layer, tmp_path / "m.weights.h5"


def drop(group):
    del group["params.Dense_0.bias"]


def add(group):
    group["params.Dense_9.bias"] = np.ones(2)


def rename(group):
    group.move("params.encoder.proj.bias", "params.decoder.proj.bias")


def reshape(group):
    del group["params.Dense_0.kernel"]
    group["params.Dense_0.kernel"] = np.ones((2, 3))


def retype(group):
    del group["params.Dense_0.bias"]
    group["params.Dense_0.bias"] = np.array([b"a", b"b"])


def group_instead(group):
    del group["params.Dense_0.bias"]
    group.create_group("params.Dense_0.bias")


def climb(group):
    group.file["secret"] = np.ones(2)
    group["params.Dense_0.bias2"] = h5py.SoftLink("/secret")


def link(group):
    del group["params.Dense_0.bias"]
    group["params.Dense_0.bias"] = h5py.ExternalLink("/etc/passwd", "/x")


@pytest.mark.law("W3")
@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (drop, "missing params.Dense_0.bias"),
        (add, "extra params.Dense_9.bias"),
        (rename, "missing params.encoder.proj.bias; extra params.decoder.proj.bias"),
        (reshape, "params.Dense_0.kernel has shape [2, 3], not [3, 2]"),
        (retype, "params.Dense_0.bias is"),
        (group_instead, "params.Dense_0.bias cannot be read"),
        (climb, "extra params.Dense_0.bias2"),
        (link, "params.Dense_0.bias cannot be read"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name_and_changes_nothing(
    edit, found, tmp_path, same_bits
):
    model, layer, path = edited(tmp_path, edit)
    before = layer.get_weights()
    with pytest.raises(ValueError, match="weights file") as caught:
        model.load_weights(path)
    assert found in str(caught.value)
    assert "Law: W3" in str(caught.value)
    same_bits(layer.get_weights(), before)


@pytest.mark.law("W3")
@pytest.mark.parametrize("key", ["/etc", "..", "../x", "a/b", "0", "", "__class__", "é"])
def test_a_key_of_any_form_is_only_a_name(key, same_bits):
    layer = built()
    before = layer.get_weights()
    store = {name: np.ones(2) for name in (key, "params.Dense_0.bias")}
    with pytest.raises(MatchWeightsFileError, match="extra"):
        layer.load_own_variables(store)
    same_bits(layer.get_weights(), before)


@pytest.mark.law("W3")
def test_all_differences_are_listed_at_once():
    layer = built()
    with pytest.raises(MatchWeightsFileError) as caught:
        layer.load_own_variables({"params.a": np.ones(1), "params.Dense_0.bias": np.ones(9)})
    assert caught.value.found.count("missing") == 7
    assert "extra params.a" in caught.value.found
    assert "params.Dense_0.bias has shape [9], not [2]" in caught.value.found


@pytest.mark.law("W3")
def test_a_reordered_file_loads_by_name(tmp_path, same_bits):
    layer, other = built(), built()
    scramble(layer)
    store = {}
    layer.save_own_variables(store)
    values = {key: np.asarray(store[key]) for key in reversed(list(store))}
    other.load_own_variables(values)
    same_bits(other.flax_variables(), layer.flax_variables())


@pytest.mark.law("W3")
def test_an_unbuilt_layer_says_that_it_has_no_place_for_the_weights():
    store = {}
    built().save_own_variables(store)
    del store["%inputs"]  # as in older files
    with pytest.raises(MatchWeightsFileError, match="not built"):
        FlaxLayer(Net()).load_own_variables(store)


@pytest.mark.law("W3")
def test_frozen_weights_are_loaded_too(tmp_path, same_bits):
    layer, other = built(), built()
    scramble(layer)
    other.trainable = False
    store = {}
    layer.save_own_variables(store)
    other.load_own_variables({key: np.asarray(value) for key, value in store.items()})
    same_bits(other.flax_variables(), layer.flax_variables())
