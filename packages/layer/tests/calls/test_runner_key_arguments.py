"""Random keys as arguments of a method, from the layer."""

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import CallArgumentError
from packages.layer.tests.needs import needs_nnx

pytestmark = [
    needs_nnx,
    pytest.mark.law("R5"),
]

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


class Block(nnx.Module):
    def __init__(self, *, rngs):
        self.dense = nnx.Linear(3, 3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5)

    def __call__(self, x, *, rngs: "nnx.Rngs | None" = None):
        x = self.dropout(self.dense(x), rngs=rngs)
        return x if rngs is None else x + rngs.noise.normal(x.shape)


class Rows(nnx.Module):
    """Splits the streams that it gets over a transform."""

    def __init__(self, *, rngs):
        self.dense = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x, rngs=None):
        if rngs is None:
            return self.dense(x)

        @nnx.split_rngs(splits=4)
        @nnx.vmap
        def noisy(rngs, x):
            return x + jax.random.normal(rngs.rows(), x.shape)

        return noisy(rngs, self.dense(x))


class Sampler(nnx.Module):
    """Draws in both modes, and cannot do without."""

    def __init__(self, *, rngs):
        self.dense = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x, rngs: nnx.Rngs):
        return self.dense(x) + rngs.normal(x.shape)


class Keyed(nnx.Module):
    def __init__(self, *, rngs):
        self.dense = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x, key, noise: nnx.RngStream | None = None, train=False):
        x = self.dense(x)
        if train:
            x = x + jax.random.normal(key, x.shape)
        return x if noise is None else x + jax.random.normal(noise(), x.shape)


def seed_of(layer):
    return keras.ops.convert_to_numpy(layer.seed_generator.state).tolist()


def raw_call(layer, training, arguments):
    module = layer.to_module()
    (module.train if training else module.eval)()
    return nnx.jit(lambda module, x, given: module(x, **given))(module, X, arguments)


@pytest.mark.parametrize(
    ("cls", "streams"),
    [
        (Block, ((), ("dropout", "noise"))),
        (Rows, ((), ("rows",))),
        (Sampler, (("default",), ("default",))),
    ],
)
def test_a_method_of_nnx_gets_the_streams_that_it_asks_for(cls, streams, same_results):
    layer = FlaxLayer(cls, seed=3)
    layer.build((None, 3))
    for training in (False, True, True):
        keys = layer.peek_rngs(training=training)
        assert tuple(sorted(keys)) == streams[training]
        given = {"rngs": nnx.Rngs(**keys)} if keys else {}
        expected = raw_call(layer, training, given)
        same_results(np.asarray(layer(X, training=training)), np.asarray(expected))


@pytest.mark.law("R4")
def test_an_inference_pass_that_draws_nothing_leaves_the_seed_alone():
    layer = FlaxLayer(Block, seed=3)
    layer(X)
    before = seed_of(layer)
    layer(X)
    assert seed_of(layer) == before
    layer(X, training=True)
    assert seed_of(layer) != before


class Encoder(nn.Module):
    """Takes a key in a method that does not draw from it, and tells whether it came."""

    def setup(self):
        self.dense = nn.Dense(3)

    def encode(self, x, key=None):
        return self.dense(x) if key is None else 2 * self.dense(x)

    def __call__(self, x, key=None):
        x = self.encode(x, key)
        return x if key is None else x + jax.random.normal(key, x.shape)


@pytest.mark.law("R4")
def test_a_key_that_nothing_is_drawn_from_is_given_and_moves_no_seed(same_results):
    layer = FlaxLayer(Encoder(), seed=3, rng_args={"key": "noise"})
    layer(X)
    encode = layer.method("encode")
    before = seed_of(layer)
    found = encode(X, training=True)
    assert encode.peek_rngs(training=True) == {}
    assert seed_of(layer) == before
    raw = jax.jit(lambda v: Encoder().apply(v, X, jax.random.key(0), method="encode"))
    same_results(np.asarray(found), np.asarray(raw(layer.flax_variables())))
    layer(X, training=True)
    assert seed_of(layer) != before


@pytest.mark.law("R1")
def test_a_stream_of_an_unused_key_stays_where_the_module_asks_for_it_by_name(same_results):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, key):
            self.make_rng("noise")
            return nn.Dense(3)(x)

    layer = FlaxLayer(Net(), seed=3, rng_args={"key": "noise"})
    found = layer(X, training=True)
    keys = {"noise": jax.random.key(0)}
    raw = jax.jit(lambda v: Net().apply(v, X, keys["noise"], rngs=keys))
    same_results(np.asarray(found), np.asarray(raw(layer.flax_variables())))


def test_named_arguments_get_typed_keys(same_results):
    layer = FlaxLayer(Keyed, seed=3, rng_args={"key": "sample"})
    layer(X)
    assert layer.peek_rngs(training=False) == {}
    keys = layer.peek_rngs(training=True)
    assert sorted(keys) == ["noise", "sample"]

    def call(module, x, keys):
        stream = nnx.RngStream(keys["noise"], tag="noise")
        return module(x, keys["sample"], noise=stream, train=True)

    expected = nnx.jit(call)(layer.to_module(), X, keys)
    same_results(np.asarray(layer(X, training=True)), np.asarray(expected))


def test_a_method_of_linen_gets_them_too(same_results):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, rngs=None, key=None, train=False):
            x = nn.Dropout(0.5)(nn.Dense(3)(x), deterministic=not train)
            if rngs is not None:
                x = x + jax.random.normal(rngs.noise(), x.shape)
            return x if key is None else x + jax.random.normal(key, x.shape)

    layer = FlaxLayer(Net(), seed=3, rng_args={"key": "sample"})
    layer(X)
    assert layer.peek_rngs(training=False) == {}
    keys = layer.peek_rngs(training=True)
    assert sorted(keys) == ["dropout", "noise", "sample"]

    def call(module, x):
        return module(x, nnx.Rngs(**keys), keys["sample"], train=True)

    raw = jax.jit(lambda variables: nn.apply(call, Net())(variables, X, rngs=keys))
    expected = raw(layer.flax_variables())
    same_results(np.asarray(layer(X, training=True)), np.asarray(expected))


def test_what_the_caller_gives_wins(same_results):
    layer = FlaxLayer(Rows, seed=3)
    layer(X)
    before, expected = seed_of(layer), raw_call(layer, True, {})
    same_results(np.asarray(layer(X, rngs=None, training=True)), np.asarray(expected))
    assert seed_of(layer) == before


@pytest.mark.law("S4")
def test_a_model_trains_and_is_stored_with_its_rng_args(tmp_path, close):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, FlaxLayer(Keyed, seed=3, rng_args={"key": "sample"})(inputs))
    model.compile("sgd", "mse")
    model.fit(X, X, epochs=2, batch_size=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    close(np.asarray(loaded(X)), np.asarray(model(X)))
    again = FlaxLayer(Keyed, seed=3, rng_args={"key": "sample"})
    again.build((None, 3))
    again.load_flax_variables(model.layers[-1].flax_variables())
    loaded.layers[-1].seed_generator.state.assign(again.seed_generator.state)
    close(np.asarray(loaded.layers[-1](X, training=True)), np.asarray(again(X, training=True)))


@pytest.mark.parametrize(
    ("rng_args", "message"),
    [({"kye": "noise"}, "one of: x, key, noise, train"), (["key"], "names of arguments")],
)
def test_wrong_rng_args_are_an_error(rng_args, message):
    with pytest.raises(CallArgumentError, match=message):
        FlaxLayer(Keyed, rng_args=rng_args)


@pytest.mark.law("R1")
def test_a_layer_of_flax_draws_from_its_own_streams_where_it_has_some(same_results):
    layer = FlaxLayer(nnx.Dropout(0.5, rngs=nnx.Rngs(0)), seed=3)
    layer(X)
    keys, raw = layer.peek_rngs(training=True), layer.to_module()
    assert list(keys) == ["default"]
    nnx.reseed(raw, policy="match_shape", **keys)
    expected = nnx.jit(lambda module, x: module(x))(raw, X)
    same_results(np.asarray(layer(X, training=True)), np.asarray(expected))
    without = FlaxLayer(nnx.Dropout(0.5), seed=3)
    without(X)
    assert list(without.peek_rngs(training=True)) == ["dropout"]
