"""Files of layers whose variables were given: the same structure, bounded (B4, S3, S4)."""

import copy
import json
import pickle
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import FlaxLayerError

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
TOKENS = np.linspace(-1, 1, 40, dtype=np.float32).reshape(2, 5, 4)

LOAD = """
import sys
import keras, numpy as np
import flaxlayer

model = keras.models.load_model(sys.argv[1])
np.save(sys.argv[3], keras.ops.convert_to_numpy(model(np.load(sys.argv[2]))))
cache = model.layers[-1].flax_variables()["cache"]
print(sorted((name, leaf.shape, leaf.dtype.name) for name, leaf in cache.items()))
"""


class AutoEncoder(nn.Module):
    def setup(self):
        boxed = nn.with_partitioning(nn.initializers.lecun_normal(), ("in", "out"))
        self.e = nn.Dense(2, kernel_init=boxed, param_dtype=jnp.bfloat16)
        self.d = nn.Dense(3)

    def __call__(self, x):
        return self.decode(self.encode(x))

    def encode(self, x):
        return self.e(x)

    def decode(self, z):
        return self.d(z)


@pytest.fixture
def trained():
    """A model of one method, given the variables of the whole module and more, and trained."""
    given = AutoEncoder().init(jax.random.key(3), X)
    more = {"kept": {"key": jax.random.key(7), "pair": (jnp.ones(2), jnp.zeros(3))}}
    layer = FlaxLayer(AutoEncoder(), method="encode", variables={**given, **more})
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], epochs=2, verbose=0)
    return model


def through_a_file(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.models.load_model(tmp_path / "model.keras")


def through_weights(model, tmp_path):
    model.save_weights(tmp_path / "model.weights.h5")
    clone = keras.models.clone_model(model)
    clone.load_weights(tmp_path / "model.weights.h5")
    return clone


def through_a_clone(model, tmp_path):
    del tmp_path
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone


def through_json(model, tmp_path):
    del tmp_path
    made = keras.models.model_from_json(model.to_json())
    made.set_weights(model.get_weights())
    return made


ROUTES = {
    "file": through_a_file,
    "weights": through_weights,
    "clone": through_a_clone,
    "json": through_json,
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
}


@pytest.mark.law("S4")
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_every_route_keeps_the_tree_that_was_given(route, trained, tmp_path, same_bits):
    def data(model):
        tree = model.layers[0].flax_variables()
        key = tree["kept"].pop("key")
        return tree, str(key.dtype), jax.random.key_data(key)

    made = route(trained, tmp_path)
    tree, dtype, key = data(made)
    expected, known_dtype, known_key = data(trained)
    same_bits((tree, key), (expected, known_key))
    assert dtype == known_dtype
    same_bits(
        made.layers[0].method("decode")(X[:, :2]), trained.layers[0].method("decode")(X[:, :2])
    )


@pytest.mark.slow
@pytest.mark.law("S4")
def test_a_fresh_process_builds_a_cache_of_full_length(tmp_path, same_results):
    module = nn.MultiHeadDotProductAttention(2, decode=True)
    given = module.init(jax.random.key(3), TOKENS)
    layer = FlaxLayer(module, variables=given)
    inputs = keras.Input(batch_shape=(2, 1, 4))
    model = keras.Model(inputs, layer(inputs))
    state = dict(given)
    for index in range(2):
        token = TOKENS[:, index : index + 1]
        model(token)
        state |= module.apply(state, token, mutable=["cache"])[1]
    paths = [str(tmp_path / name) for name in ("model.keras", "x.npy", "y.npy")]
    model.save(paths[0])
    np.save(paths[1], TOKENS[:, 2:3])
    done = subprocess.run([sys.executable, "-c", LOAD, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "('cached_key', (2, 5, 2, 2), 'float32')" in done.stdout
    raw = jax.jit(lambda state, x: module.apply(state, x, mutable=["cache"])[0])
    same_results(np.load(paths[2]), raw(state, TOKENS[:, 2:3]))


@pytest.mark.law("B4")
def test_a_layer_whose_values_come_from_a_file_alone_takes_those_of_init_meanwhile(same_bits):
    layer = FlaxLayer(AutoEncoder(), variables=AutoEncoder().init(jax.random.key(3), X), seed=4)
    clone = FlaxLayer.from_config(layer.get_config())
    clone(X)
    same_bits(clone.flax_variables(), AutoEncoder().init(clone.init_rngs(), X))


@pytest.mark.law("S3")
@pytest.mark.parametrize(
    "change",
    [
        lambda given: [],
        lambda given: {**given, "arrays": []},
        lambda given: {**given, "arrays": [[[2**30] * 3, "float32"]] * len(given["arrays"])},
        lambda given: {**given, "arrays": [[[None], "float32"]] * len(given["arrays"])},
        lambda given: {**given, "arrays": [[[-1], "float32"]] * len(given["arrays"])},
        lambda given: {**given, "arrays": [[[2], "object"]] * len(given["arrays"])},
        lambda given: {**given, "arguments": None},
        lambda given: {name: value for name, value in given.items() if name != "arguments"},
        lambda given: {**given, "given": given},
        lambda given: json.loads(json.dumps(given).replace('"params"', "7")),
        lambda given: json.loads(json.dumps(given).replace('"kernel"', '"a/b"')),
        lambda given: json.loads(json.dumps(given).replace('"kernel"', "7")),
    ],
)
def test_a_form_that_a_file_invents_is_refused_before_anything_is_allocated(change):
    layer = FlaxLayer(AutoEncoder(), variables=AutoEncoder().init(jax.random.key(3), X))
    config = layer.get_config()
    config["given"] = change(config["given"])
    with pytest.raises(FlaxLayerError):
        FlaxLayer.from_config(config)(X)


@pytest.mark.law("S3")
def test_a_build_configuration_is_refused_alike():
    layer = FlaxLayer(nn.Dense(2), variables=nn.Dense(2).init(jax.random.key(3), X))
    layer(X)
    config = layer.get_build_config()
    config["given"]["arrays"] = [[[2**30] * 3, "float32"]] * 2
    other = FlaxLayer(nn.Dense(2))
    with pytest.raises(FlaxLayerError):
        other.build_from_config(config)
    assert not other.built


@pytest.mark.law("B4")
def test_the_build_configuration_alone_builds_the_tree_again(same_bits):
    given = AutoEncoder().init(jax.random.key(3), X)
    layer = FlaxLayer(AutoEncoder(), method="encode", variables=given)
    layer(X)
    other = FlaxLayer(AutoEncoder(), method="encode")
    other.build_from_config(json.loads(json.dumps(layer.get_build_config())))
    assert [variable.path.split("/", 1)[1] for variable in other.weights] == [
        variable.path.split("/", 1)[1] for variable in layer.weights
    ]
    other.set_weights(layer.get_weights())
    same_bits(other.flax_variables(), given)


@keras.saving.register_keras_serializable("given_files")
class Encoding(keras.Model):
    """Gets variables where it is made, which its configuration does not have."""

    def __init__(self, given=None, **kwargs):
        super().__init__(**kwargs)
        self.encoder = FlaxLayer(AutoEncoder(), method="encode", variables=given)

    def call(self, x):
        return self.encoder(x)


@pytest.mark.law("W4")
def test_a_subclassed_model_that_is_loaded_has_the_tree_that_was_given(tmp_path, same_bits):
    model = Encoding(AutoEncoder().init(jax.random.key(3), X))
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], epochs=2, verbose=0)
    loaded = through_a_file(model, tmp_path)
    same_bits(loaded.encoder.flax_variables(), model.encoder.flax_variables())
