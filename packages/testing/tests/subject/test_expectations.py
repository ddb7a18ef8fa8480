"""What a layer has to start from, beside raw Flax called by hand with keys by hand."""

import hashlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from flaxlayer_testing import Subject, check_module, compare_trees

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)


def key(seed, draws, *names):
    """R2 by hand."""
    key = jax.random.fold_in(jax.random.key(seed), draws)
    for name in names:
        number = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
        key = jax.random.fold_in(key, number)
    return key


class Sees(nn.Module):
    """State that init computes from the inputs, noise at init and dropout in training."""

    @nn.compact
    def __call__(self, x, train=False):
        self.variable("seen", "mean", lambda: x.mean())
        noise = self.variable("noise", "value", lambda: jax.random.normal(self.make_rng("noise")))
        x = nn.Dense(2)(x) + noise.value
        return nn.Dropout(0.5, deterministic=not train)(x)


class Steers(nn.Module):
    """Branches on values, counts calls and draws in both modes."""

    @nn.compact
    def __call__(self, x):
        count = self.variable("calls", "count", lambda: jnp.zeros((), jnp.int32))
        if not self.is_initializing():
            count.value += 1
        x = nn.Dense(2)(x)
        x = x if x.sum() > 0 else -x
        return x + jax.random.normal(self.make_rng("noise"), x.shape)


def bits(keys):
    return {name: jax.random.key_data(key).tolist() for name, key in keys.items()}


@pytest.mark.law("B2", "R3")
@pytest.mark.parametrize("called", [False, True], ids=["shapes", "call"])
def test_variables_are_those_of_raw_init_on_ones_or_on_what_was_called_with(called):
    subject = Subject(Sees(), (X,), seed=5)
    names = ("params", "noise", "dropout")  # more than it draws from move nothing
    keys = {name: key(5, 0, "flaxlayer/init", name) for name in names}
    expected = Sees().init(keys, X if called else np.ones_like(X), train=True)
    found = subject.expected.variables(None, called=called)
    compare_trees(dict(expected), found, bitwise=True, path="variables")


@pytest.mark.law("R1", "R2")
def test_keys_are_those_of_the_streams_of_the_mode():
    expected = Subject(Sees(), (X,), seed=5).expected
    keys = expected.keys(None, training=True, draws=2)
    assert bits(keys) == bits({"dropout": key(5, 2, "dropout")})
    assert expected.keys(None, training=False) == {}
    assert bits(expected.keys(None, training=True, seed=6)) == bits(
        {"dropout": key(6, 0, "dropout")}
    )


@pytest.mark.law("A6", "R2")
def test_a_call_that_builds_moves_state_and_draws():
    expected = Subject(Steers(), (X,), seed=5).expected
    assert int(expected.variables(None)["calls"]["count"]) == 1
    keys = expected.keys(None, training=False)
    assert bits(keys) == bits({"noise": key(5, 1, "noise")})


@pytest.mark.law("T10")
@pytest.mark.parametrize("module", [Sees(), Steers(), nn.Dropout(0.5, deterministic=False)])
def test_a_layer_that_follows_the_laws_passes(module):
    names = ["check_build_values", "check_streams", "check_fresh_keys", "check_seed*"]
    check_module(module, X, only=names).raise_for_failures()


@pytest.mark.law("R1")
@pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")
def test_the_streams_of_an_nnx_module_that_branches_on_values_are_those_that_count():
    class Branches(nnx.Module):
        def __init__(self, *, rngs):
            self.rngs, self.drop = nnx.Rngs(noise=rngs.params()), nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            noise = self.rngs.noise.normal if hasattr(self.rngs.noise, "normal") else None
            x = x + (noise(x.shape) if noise else jax.random.normal(self.rngs.noise(), x.shape))
            return self.drop(x if x.sum() > 0 else -x)

    oracle = Subject(Branches, (X,)).oracle
    assert not oracle.traceable
    assert oracle.drawn_streams(training=True) == {"noise", "dropout"}
    assert oracle.drawn_streams(training=False) == {"noise"}


@pytest.mark.law("T3")
def test_a_factory_may_say_how_its_layers_derive_keys():
    class Told:
        asks = True

        def of_init(self, layer, seed, streams):
            return dict.fromkeys(streams, jax.random.key(1))

        def of_call(self, layer, seed, draws, streams, *, training):
            return {"layer": layer, "draws": draws, "streams": streams, "training": training}

    def factory(module, **settings):
        raise NotImplementedError

    factory.key_rule = Told()
    expected = Subject(nn.Dropout(0.5, deterministic=False), (X,), layer=factory).expected
    told = expected.keys("a layer", training=True, draws=3)
    assert told == {"layer": "a layer", "draws": 3, "streams": {"dropout"}, "training": True}
