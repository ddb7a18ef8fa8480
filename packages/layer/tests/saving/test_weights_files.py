"""Weights by path, as trees, and in files that say by name what does not fit (W1, W2, W3)."""

import flax.linen as nn
import h5py
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax.core import freeze

from flaxlayer import FlaxLayer
from flaxlayer_core import MatchVariablesError, MatchWeightsFileError

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(3, name="proj")(x)
        return nn.BatchNorm(use_running_average=not train)(x)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(2)(Block(name="encoder")(x, train))


class Odd(nn.Module):
    """Names, boxes and dtypes that a file format may stumble over."""

    @nn.compact
    def __call__(self, x):
        self.param("a.b", nn.initializers.normal(), (2,))
        self.param("100%", nn.initializers.normal(), (2,))
        self.param("half", nn.initializers.normal(), (2,), jnp.bfloat16)
        self.variable("codes", "bits", lambda: jnp.array([True, False]))
        self.variable("codes", "wave", lambda: jnp.array([1 + 2j]))
        self.variable("codes", "key", lambda: jax.random.key(5))
        boxed = nn.with_partitioning(nn.initializers.normal(), ("x",))
        return x * self.param("boxed", boxed, (4,))


def built(module=None, **kwargs):
    layer = FlaxLayer(module or Net(), name="net", **kwargs)
    layer.build((None, 4))
    return layer


def model_of(layer):
    return keras.Sequential([keras.Input((4,)), layer])


def scramble(layer, seed=0):
    rng = np.random.default_rng(seed)
    for variable in layer.weights:
        variable.assign(rng.uniform(0.1, 1.0, variable.shape))


def raw_bits(tree):
    def bits(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        return np.asarray(leaf).tobytes()

    return jax.tree.map(bits, tree)


@pytest.mark.law("W1")
def test_a_weight_has_the_path_of_the_module_s_variable():
    assert sorted(variable.path for variable in built().weights) == [
        "net/batch_stats/encoder/BatchNorm_0/mean",
        "net/batch_stats/encoder/BatchNorm_0/var",
        "net/params/Dense_0/bias",
        "net/params/Dense_0/kernel",
        "net/params/encoder/BatchNorm_0/bias",
        "net/params/encoder/BatchNorm_0/scale",
        "net/params/encoder/proj/bias",
        "net/params/encoder/proj/kernel",
    ]


@pytest.mark.law("W1")
def test_paths_are_the_same_in_a_functional_model_and_built_inside_fit():
    tensor = keras.Input((4,))
    functional = keras.Model(tensor, FlaxLayer(Net(), name="net")(tensor))
    lazy = keras.Sequential([FlaxLayer(Net(), name="net")], name="sequential")
    lazy.compile("sgd", "mse")
    lazy.fit(X, np.zeros((2, 2), np.float32), verbose=0)
    expected = {variable.path for variable in built().weights}
    assert {variable.path for variable in functional.weights} == expected
    assert {variable.path.removeprefix("sequential/") for variable in lazy.weights} == expected


@pytest.mark.law("W1")
def test_params_and_state_are_trees_of_the_keras_variables():
    layer = built()
    raw = Net().init(jax.random.key(0), X)
    state = {"batch_stats": raw["batch_stats"]}
    assert jax.tree.structure(layer.params) == jax.tree.structure({"params": raw["params"]})
    assert jax.tree.structure(layer.state) == jax.tree.structure(state)
    leaves = [id(variable) for variable in jax.tree.leaves((layer.params, layer.state))]
    assert leaves[:6] == [id(variable) for variable in layer.trainable_variables]
    assert sorted(leaves) == sorted(id(variable) for variable in layer.weights)


@pytest.mark.law("W1")
def test_params_and_state_are_none_before_build():
    layer = FlaxLayer(Net())
    assert (layer.params, layer.state, layer.weights) == (None, None, [])


@pytest.mark.law("W1")
def test_get_and_set_weights_go_in_the_order_of_the_weights(same_bits):
    layer, other = built(), built()
    scramble(layer)
    other.set_weights(layer.get_weights())
    same_bits(other.flax_variables(), layer.flax_variables())
    assert layer.count_params() == sum(np.size(leaf) for leaf in layer.get_weights()) == 35


@pytest.mark.law("W2")
def test_flax_variables_are_the_tree_that_raw_init_returns(same_bits):
    layer = FlaxLayer(Odd(), seed=3)
    layer(X)
    raw = Odd().init(layer.init_rngs(), X)
    tree = layer.flax_variables()
    assert jax.tree.structure(tree) == jax.tree.structure(raw)
    assert raw_bits(tree) == raw_bits(raw)


@pytest.mark.law("W2")
def test_a_tree_goes_in_and_comes_out_again():
    layer = FlaxLayer(Odd(), seed=3)
    layer(X)
    given = Odd().init(jax.random.key(9), X)
    layer.load_flax_variables(given)
    assert raw_bits(layer.flax_variables()) == raw_bits(given)


@pytest.mark.law("W2")
def test_a_frozen_dict_of_numpy_arrays_goes_in(same_bits):
    layer = built()
    given = jax.tree.map(np.asarray, Net().init(jax.random.key(9), X))
    layer.load_flax_variables(freeze(given))
    same_bits(layer.flax_variables(), given)


@pytest.mark.law("W2")
def test_a_sub_tree_changes_only_what_it_holds(same_bits):
    layer = built()
    before = layer.flax_variables()
    kernel = np.full((4, 3), 7.0, np.float32)
    layer.load_flax_variables({"params": {"encoder": {"proj": {"kernel": kernel}}}})
    expected = jax.tree.map(np.asarray, before)
    expected["params"]["encoder"]["proj"]["kernel"] = kernel
    same_bits(layer.flax_variables(), expected)


@pytest.mark.law("W2")
@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"params": {"Dense_0": {"kernel": np.ones((2, 3))}}}, "params/Dense_0/kernel"),
        ({"params": {"Dense_1": {"kernel": np.ones((3, 2))}}}, "params/Dense_1/kernel: unknown"),
        ({"other": {"a": np.ones(1)}}, "other/a: unknown"),
        ({"params": {"Dense_0": {"bias": "text"}}}, "params/Dense_0/bias"),
        ({"params": np.ones(3)}, "params: unknown"),
    ],
)
def test_a_tree_that_does_not_fit_changes_nothing(wrong, found, same_bits):
    layer = built()
    before = jax.tree.map(np.asarray, layer.flax_variables())
    tree = {"batch_stats": jax.tree.map(np.ones_like, before["batch_stats"]), **wrong}
    with pytest.raises(MatchVariablesError) as caught:
        layer.load_flax_variables(tree)
    assert found in caught.value.found
    same_bits(layer.flax_variables(), before)


@pytest.mark.law("W2")
def test_a_loaded_array_is_not_shared_with_its_owner():
    layer = built()
    mine = jnp.ones(2)
    layer.load_flax_variables({"params": {"Dense_0": {"bias": mine}}})
    layer.params["params"]["Dense_0"]["bias"].assign(jnp.zeros(2))
    assert mine.tolist() == [1.0, 1.0]


@pytest.mark.law("W2")
def test_the_bound_module_computes_what_the_layer_computes():
    layer = built()
    scramble(layer)
    np.testing.assert_allclose(layer.to_module()(X), layer(X), rtol=1e-6)


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
