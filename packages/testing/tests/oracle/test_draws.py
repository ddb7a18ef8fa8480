"""The streams of linen modules that say themselves what they draw from."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax.core import Scope
from flax.errors import InvalidRngError

from flaxlayer_testing.oracle.draws import streams_of, watched_streams

X = jnp.ones((2, 3))


class Noisy(nn.Module):
    """Draws from its stream, and from another where that is there."""

    @nn.compact
    def __call__(self, x):
        x = x + jax.random.normal(self.make_rng("noise"), x.shape)
        if self.has_rng("spice"):
            x = x * jax.random.normal(self.make_rng("spice"), x.shape)
        return nn.Dense(3)(x)


class ByAnother(nn.Module):
    """Has the value of its param from `init` of another module, whose shape each call asks for."""

    @nn.compact
    def __call__(self, x):
        def kernel(key):
            return nn.Dense(2, parent=None).init(key, x)["params"]["kernel"]

        return x @ self.param("kernel", kernel)


class Asks(nn.Module):
    """Asks about a stream, and draws from none."""

    def __call__(self, x):
        return x * 2 if self.has_rng("noise") else x


class Stack(nn.Module):
    """Draws below lifted transforms."""

    @nn.compact
    def __call__(self, x):
        x = nn.jit(nn.remat(Noisy))()(x)
        stacked = nn.vmap(
            Noisy, variable_axes={"params": 0}, split_rngs={"params": True, "noise": True}
        )
        return stacked()(x[None])


class Lost(nn.Module):
    """A transform that hands on no stream but `params`."""

    @nn.compact
    def __call__(self, x):
        alone = nn.vmap(nn.Dropout, variable_axes={}, split_rngs={"params": False})
        return alone(0.5, deterministic=False)(x)


def streams(module, *, init=False, curious=True):
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), X))

    def run(rngs):
        if init:
            return jax.eval_shape(lambda rngs: module.init(rngs, X), rngs)
        return jax.eval_shape(lambda v, rngs: module.apply(v, X, rngs=rngs), variables, rngs)

    return watched_streams(run, first=("params",) if init else (), curious=curious)


@pytest.mark.law("R1")
@pytest.mark.parametrize("module", [Noisy(), Stack()], ids=["alone", "lifted"])
def test_streams_that_it_draws_from_are_found(module):
    assert streams(module, curious=False) == {"noise"}
    assert streams(module, init=True, curious=False) == {"noise", "params"}


@pytest.mark.law("R1")
def test_a_stream_that_it_asks_about_first_is_given_to_see():
    assert streams(Noisy()) == {"noise", "spice"}
    assert streams(Asks()) == frozenset()


@pytest.mark.law("R1")
def test_streams_are_found_again_where_a_trace_is_kept():
    module = Stack()
    found = [streams(module, init=True, curious=False) for _ in range(2)]
    assert found == [{"noise", "params"}] * 2


@pytest.mark.law("R1")
def test_a_stream_that_a_transform_keeps_back_is_refused_as_flax_refuses_it():
    with pytest.raises(InvalidRngError, match="dropout"):
        watched_streams(lambda rngs: Lost().apply({}, X, rngs=rngs), curious=False)


@pytest.mark.law("R1")
def test_what_an_inner_init_draws_from_its_own_key_is_no_draw_of_the_module():
    variables = ByAnother().init(jax.random.key(0), X)
    found = watched_streams(lambda rngs: ByAnother().apply(variables, X, rngs=rngs), curious=True)
    assert found == frozenset()


def test_flax_is_left_as_it_was():
    before = Scope.has_rng, Scope.make_rng
    streams(Noisy())
    with pytest.raises(ZeroDivisionError):
        watched_streams(lambda rngs: 1 / 0, curious=False)
    assert (Scope.has_rng, Scope.make_rng) == before


@pytest.mark.law("R1")
@pytest.mark.parametrize(
    ("given", "drawn"),
    [(["noise", "dropout"], {"noise"}), (["params"], {"params"}), (["noise", "params"], {"noise"})],
    ids=["its own", "what Flax takes instead", "both"],
)
def test_streams_that_are_given_are_all_that_it_has(given, drawn):
    variables = Noisy().init(jax.random.key(0), X)
    assert streams_of(lambda rngs: Noisy().apply(variables, X, rngs=rngs), given) == drawn


@pytest.mark.law("R1")
def test_a_stream_that_is_lacking_is_refused():
    variables = Noisy().init(jax.random.key(0), X)
    with pytest.raises(InvalidRngError):
        streams_of(lambda rngs: Noisy().apply(variables, X, rngs=rngs), ["dropout"])
