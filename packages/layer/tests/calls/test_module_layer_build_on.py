"""Building on example inputs without a call, and the keys of the next call (B1, R4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import BuildModuleError

X = np.array([[1, 2, 3]], np.int32)


class Net(nn.Module):
    """Counts its calls, and draws from a stream that a static argument asks for."""

    @nn.compact
    def __call__(self, x, noise=False, train=False):
        x = nn.Embed(7, 4)(x)
        calls = self.variable("calls", "n", lambda: jnp.zeros((), jnp.int32))
        calls.value += 1
        x = nn.Dropout(0.5, deterministic=not train)(x)
        if noise:
            x = x + jax.random.normal(self.make_rng("noise"), x.shape)
        return x

    def double(self, x):
        return self.variables["params"]["Embed_0"]["embedding"][x] * 2


@pytest.fixture(
    params=[
        lambda: X,
        lambda: jnp.asarray(X),
        lambda: keras.ops.convert_to_tensor(X),
        lambda: jax.ShapeDtypeStruct(X.shape, X.dtype),
        lambda: keras.KerasTensor((None, 3), "int32"),
        lambda: keras.Input((None,), dtype="int32"),
    ],
    ids=["numpy", "jax", "backend", "ShapeDtypeStruct", "KerasTensor", "Input"],
)
def example(request):
    return request.param()


@pytest.mark.law("B1")
def test_a_layer_that_was_built_on_examples_is_as_one_built_by_the_call(example, same_bits):
    layer, other = FlaxLayer(Net(), seed=3), FlaxLayer(Net(), seed=3)
    seed = np.asarray(layer.seed_generator.state.value)
    layer.build_on(example, noise=True, training=True)
    same_bits(layer.flax_variables(), Net().init(layer.init_rngs(), X, noise=True, train=True))
    same_bits(np.asarray(layer.seed_generator.state.value), seed)
    same_bits(
        np.asarray(layer(X, noise=True, training=True)), np.asarray(other(X, True, training=True))
    )
    same_bits(layer.flax_variables(), other.flax_variables())


def test_a_layer_that_is_built_stays_as_it_is(same_bits):
    layer = FlaxLayer(Net())
    layer(X)
    before = layer.flax_variables()
    layer.build_on(X[:, :2])
    same_bits(layer.flax_variables(), before)


def test_a_method_is_built_on_examples_of_its_own():
    layer = FlaxLayer(Net())
    layer.build_on(X)
    method = layer.method("double")
    method.build_on(X)
    assert method.built
    table = layer.flax_variables()["params"]["Embed_0"]["embedding"]
    np.testing.assert_array_equal(np.asarray(method(X)), table[X] * 2)


def test_examples_that_the_module_refuses_leave_the_layer_unbuilt():
    layer = FlaxLayer(nn.Dense(2))
    with pytest.raises(BuildModuleError):
        layer.build_on(jax.ShapeDtypeStruct((), jnp.float32))
    assert not layer.built


@pytest.mark.law("R4")
def test_the_keys_of_a_call_go_by_its_own_arguments():
    layer = FlaxLayer(Net(), seed=3)
    layer.build_on(X)
    assert set(layer.peek_rngs(X, training=True)) == {"dropout"}
    assert set(layer.peek_rngs(X, noise=True, training=True)) == {"dropout", "noise"}
    assert set(layer.peek_rngs(X, True, training=False)) == {"noise"}
    assert layer.peek_rngs(X, training=False) == {}
    # Without arguments, those of the latest call, which a look does not change.
    assert set(layer.peek_rngs(training=True)) == {"dropout"}
    layer(X, noise=True)
    layer.peek_rngs(X, training=True)
    assert set(layer.peek_rngs(training=True)) == {"dropout", "noise"}


@pytest.mark.law("R4")
def test_the_keys_that_a_look_shows_are_those_of_the_call(same_results):
    layer = FlaxLayer(Net(), seed=3)
    layer.build_on(X)
    layer(X)
    rngs, variables = layer.peek_rngs(X, noise=True, training=True), layer.flax_variables()

    def raw(variables, rngs, x):
        return Net().apply(variables, x, noise=True, train=True, rngs=rngs, mutable=["calls"])[0]

    same_results(layer(X, noise=True, training=True), jax.jit(raw)(variables, rngs, X))
