"""Streams come by themselves, replay beside raw Flax, and follow the seed (R1-R4)."""

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer

X = np.ones((4, 16), np.float32)


class TwoStreams(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dropout(0.5, deterministic=not train)(x)
        if train:
            x = x + jax.random.normal(self.make_rng("noise"), x.shape)
        return x


class Samples(nn.Module):
    """Draws at inference too, as a variational autoencoder does."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x) + jax.random.normal(self.make_rng("latent"), (x.shape[0], 3))


class AsksFirst(nn.Module):
    @nn.compact
    def __call__(self, x):
        return (
            x + jax.random.normal(self.make_rng("noise"), x.shape) if self.has_rng("noise") else x
        )


@pytest.mark.law("R1")
def test_streams_are_found_by_mode():
    layer = FlaxLayer(TwoStreams())
    layer(X)
    assert sorted(layer.peek_rngs(training=True)) == ["dropout", "noise"]
    assert layer.peek_rngs(training=False) == {}


@pytest.mark.law("R1")
def test_randomness_at_inference_works(raw_apply, same_bits):
    layer = FlaxLayer(Samples())
    first = layer(X)
    expected, _ = raw_apply(layer, X)
    second = layer(X)
    same_bits(second, expected)
    assert not (np.asarray(first) == np.asarray(second)).any()


@pytest.mark.law("R1")
def test_has_rng_means_what_the_author_meant():
    layer = FlaxLayer(AsksFirst())
    np.testing.assert_array_equal(layer(X), X)
    assert not (np.asarray(layer(X, training=True)) == X).any()


@pytest.mark.law("R1")
def test_listed_streams_override_what_is_found():
    layer = FlaxLayer(AsksFirst(), rngs=("noise",))
    assert not (np.asarray(layer(X)) == X).any()


@pytest.mark.law("R2")
def test_a_further_stream_does_not_move_another():
    class One(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            return nn.Dropout(0.5, deterministic=not train)(x)

    layers = FlaxLayer(One(), seed=5), FlaxLayer(TwoStreams(), seed=5)
    keys = []
    for layer in layers:
        layer(X)
        keys.append(jax.random.key_data(layer.peek_rngs(training=True)["dropout"]))
    np.testing.assert_array_equal(*keys)


@pytest.mark.law("R3")
@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_the_same_seed_and_calls_give_the_same_bits(impl, same_bits):
    def run():
        layer = FlaxLayer(Samples(), seed=9)
        return [layer(X), layer(X, training=True), layer(X), layer.flax_variables()]

    with jax.default_prng_impl(impl):
        same_bits(run(), run())


@pytest.mark.law("R3")
def test_without_a_seed_keras_global_seed_governs(same_bits):
    def run():
        keras.utils.set_random_seed(3)
        layer = FlaxLayer(Samples())
        return layer(X), layer.flax_variables()

    same_bits(run(), run())
    assert not (np.asarray(FlaxLayer(Samples())(X)) == np.asarray(run()[0])).all()


@pytest.mark.law("R3")
def test_every_route_of_building_gives_the_same_values(same_bits):
    eager, shaped, lazy = (FlaxLayer(Samples(), seed=2) for _ in range(3))
    eager(X)
    shaped.build((None, 16))
    model = keras.Sequential([lazy])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(X, X[:, :3], verbose=0)
    same_bits(shaped.flax_variables(), eager.flax_variables())
    same_bits(lazy.flax_variables(), eager.flax_variables())


@pytest.mark.law("R4")
def test_the_next_call_uses_the_keys_that_were_peeked(raw_apply, same_bits):
    layer = FlaxLayer(TwoStreams(), seed=1)
    layer(X)
    for _ in range(3):
        expected, _ = raw_apply(layer, X, training=True, flags=[("train", True)])
        same_bits(layer(X, training=True), expected)


@pytest.mark.law("R4")
def test_peeking_draws_nothing(same_bits):
    layer = FlaxLayer(TwoStreams(), seed=1)
    layer(X)
    before = np.asarray(layer.seed_generator.state.value)
    layer.peek_rngs(training=True)
    same_bits(layer.seed_generator.state.value, before)


@pytest.mark.law("R4")
def test_a_deterministic_inference_leaves_the_seed_alone(same_bits):
    layer = FlaxLayer(TwoStreams(), seed=1)
    layer(X, training=True)
    before = np.asarray(layer.seed_generator.state.value)
    layer(X)
    same_bits(layer.seed_generator.state.value, before)


@pytest.mark.law("R2")
def test_one_seed_is_drawn_a_call_however_many_streams_there_are():
    layer = FlaxLayer(TwoStreams(), seed=1)
    layer(X, training=True)
    layer(X, training=True)
    assert np.asarray(layer.seed_generator.state.value).tolist() == [1, 2]


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights:UserWarning")
@pytest.mark.law("R2")
def test_fit_draws_other_keys_at_each_step(watched):
    loss, seen = watched
    model = keras.Sequential([FlaxLayer(TwoStreams(), seed=4)])
    model.compile("sgd", loss)
    model.fit(X, X, epochs=3, verbose=0)
    jax.effects_barrier()
    assert len({y.tobytes() for y in seen}) == len(seen) == 3
