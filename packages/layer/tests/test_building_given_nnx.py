"""Given variables of nnx modules: states, abstract objects, caches, what passes by (B4)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import MatchVariablesError
from packages.layer.tests.needs import needs_nnx

pytestmark = [
    pytest.mark.law("B4"),
    needs_nnx,
    pytest.mark.filterwarnings("ignore:.*nnx.capture.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:\\s*Using 'Module:DeprecationWarning"),
]

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
TOKENS = np.linspace(-1, 1, 40, dtype=np.float32).reshape(2, 5, 4)


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.blocks = nnx.data([nnx.Linear(3, 3, rngs=rngs)])
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.norm(self.blocks[0](x)))


class Perturbed(nnx.Module):
    def __init__(self, *, rngs):
        self.linear = nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, x):
        y = self.perturb("p", self.linear(x))
        self.sow(nnx.Intermediate, "y", y)
        return y


def decoder(rngs, length=5):
    attention = nnx.MultiHeadAttention(2, 4, decode=True, rngs=rngs)
    attention.init_cache((2, length, 4))
    return attention


@pytest.fixture(scope="module")
def net():
    return Net(rngs=nnx.Rngs(5))


@pytest.fixture(scope="module")
def stored(net):
    layer = FlaxLayer(net)
    layer.build_on(X)
    return layer.flax_variables()


FORMS = {
    "state": nnx.state,
    "split": lambda net: nnx.split(net)[1],
    "pure dict": lambda net: nnx.to_pure_dict(nnx.state(net)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("abstract", [False, True], ids=["factory", "abstract object"])
def test_what_nnx_makes_of_a_module_is_taken(form, abstract, net, stored, same_bits):
    module = functools.partial(Net)
    if abstract:
        module = nnx.eval_shape(lambda: Net(rngs=nnx.Rngs(0)))
    layer = FlaxLayer(module, variables=form(net))
    layer(X)
    same_bits(layer.flax_variables(), stored)
    layer(X, training=True)


def test_a_part_of_a_state_leaves_the_rest_to_init(net, stored, same_bits):
    layer = FlaxLayer(functools.partial(Net), variables=nnx.state(net, nnx.BatchStat), seed=3)
    other = FlaxLayer(functools.partial(Net), seed=3)
    layer(X), other(X)
    same_bits(layer.flax_variables()["params"], other.flax_variables()["params"])
    same_bits(layer.flax_variables()["batch_stats"], stored["batch_stats"])


@pytest.mark.parametrize("given", [None, {"params": {"norm": {"scale": np.ones(3, np.float32)}}}])
def test_an_abstract_object_without_values_is_an_error_that_names_them(given):
    layer = FlaxLayer(nnx.eval_shape(lambda: Net(rngs=nnx.Rngs(0))), variables=given)
    with pytest.raises(MatchVariablesError, match="no value for params/blocks/0/kernel") as caught:
        layer(X)
    assert "Give variables=" in str(caught.value)
    assert ("params/norm/scale" in str(caught.value)) == (given is None)
    assert not layer.built


@pytest.mark.parametrize("route", ["object", "factory", "longer than the factory's", "abstract"])
def test_a_decoder_has_a_cache_of_full_length(route, close):
    raw = decoder(nnx.Rngs(0))
    module, given = {
        "object": (nnx.clone(raw), None),
        "factory": (decoder, nnx.state(raw)),
        "longer than the factory's": (functools.partial(decoder, length=1), nnx.state(raw)),
        "abstract": (nnx.eval_shape(lambda: decoder(nnx.Rngs(0))), nnx.state(raw)),
    }[route]
    layer = FlaxLayer(module, variables=given)
    for index in range(3):
        token = TOKENS[:, index : index + 1]
        close(np.asarray(layer(token)), np.asarray(raw(jnp.asarray(token))))
    assert layer.flax_variables()["cache"]["cached_key"].shape == (2, 5, 2, 2)


def test_what_an_object_holds_of_an_earlier_call_is_fed_or_left_out(close):
    module = Perturbed(rngs=nnx.Rngs(0))
    module(jnp.asarray(X))
    module.p[...] = jnp.ones((2, 2))
    layer = FlaxLayer(nnx.clone(module), return_sown=("intermediates",))
    y, sown = layer(X)
    close(np.asarray(y), np.asarray(nnx.clone(module)(jnp.asarray(X))))
    close(np.asarray(y), np.asarray(layer(X)[0]))
    assert len(sown["intermediates"]["y"]) == 1
    assert set(layer.flax_variables()) == {"params", "perturbations"}


def test_given_perturbations_that_the_module_has_no_place_for_are_named():
    given = {"perturbations": {"p": np.ones((2, 2), np.float32)}}
    with pytest.raises(MatchVariablesError, match="perturbations/p: unknown"):
        FlaxLayer(Perturbed(rngs=nnx.Rngs(0)), variables=given)(X)


def test_an_entry_that_the_module_does_not_have_is_named():
    given = {"params": {"norm": {"skale": np.ones(3)}}}
    with pytest.raises(MatchVariablesError, match="params/norm/skale: unknown") as caught:
        FlaxLayer(functools.partial(Net), variables=given)(X)
    assert "params/norm/scale [3]" in caught.value.expected


@pytest.mark.law("C2")
def test_state_of_nnx_whose_dtype_a_call_widens_is_stored_in_the_wider_one(close):
    class Counts(nnx.Module):
        def __init__(self):
            self.n = nnx.BatchStat(jnp.zeros((), jnp.int32))
            self.c = nnx.Variable(jnp.zeros(3))

        def __call__(self, x):
            nnx.update(self, {"n": self.n[...] + 0.5, "c": self.c[...] + 1j})
            return x * self.n[...]

    layer, raw = FlaxLayer(Counts()), Counts()
    layer.build_on(X)
    dtypes = jax.tree.map(lambda leaf: leaf.dtype.name, layer.flax_variables())
    assert dtypes == {"Variable": {"c": "complex64"}, "batch_stats": {"n": "float32"}}
    for _ in range(2):
        close(np.asarray(layer(X)), np.asarray(raw(jnp.asarray(X))))
    close(layer.flax_variables()["Variable"]["c"], raw.c[...])
