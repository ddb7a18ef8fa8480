"""Numbers of Python are traced, weakly typed (A1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)
TRACES = []


class Scaled(nn.Module):
    @nn.compact
    def __call__(self, x, temperature, shift=0.0):
        TRACES.append(temperature)
        return nn.softmax(nn.Dense(3)(x) / temperature + shift)


class ScaledNnx(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x, temperature, shift=0.0):
        TRACES.append(temperature)
        return nn.softmax(self.dense(x) / temperature + shift)


SCALED = {"linen": Scaled, "nnx": lambda: ScaledNnx(nnx.Rngs(0))}


def _raw(layer):
    module = layer.to_module()
    if isinstance(module, nnx.Module):
        graph, state = nnx.split(module)
        return jax.jit(lambda *args, **kwargs: nnx.merge(graph, state)(*args, **kwargs))
    variables = layer.flax_variables()
    return jax.jit(lambda *args, **kwargs: layer.module.apply(variables, *args, **kwargs))


@pytest.mark.law("A1")
@pytest.mark.parametrize("make", SCALED.values(), ids=SCALED)
def test_one_program_serves_all_values_of_a_number_with_the_bits_of_a_jitted_apply(
    make, same_results
):
    layer = FlaxLayer(make())
    layer(X, 0.5, shift=0.25)
    raw = _raw(layer)
    traced = len(TRACES)
    for value in (0.5, 0.7, 3.0, 11.0):
        result = np.asarray(layer(X, value, shift=value / 2))
        assert len(TRACES) == traced
        same_results(result, np.asarray(raw(X, value, shift=value / 2)))
        traced = len(TRACES)
    assert len(layer._runner.cache.specs) == 2


class Halves(nn.Module):
    @nn.compact
    def __call__(self, x, factor):
        return {"product": x * factor["f"][0], "power": x ** factor["f"][1]}


class HalvesNnx(nnx.Module):
    def __call__(self, x, factor):
        return {"product": x * factor["f"][0], "power": x ** factor["f"][1]}


@pytest.mark.law("A1")
@pytest.mark.parametrize("make", [Halves, HalvesNnx], ids=["linen", "nnx"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "int32", "complex64"])
def test_a_number_gives_way_to_the_dtypes_that_it_meets(make, dtype, same_results):
    x = np.asarray(jnp.asarray(X * 8 + 8, dtype))
    layer, raw = FlaxLayer(make()), jax.jit(lambda x, f: Halves().apply({}, x, f))
    for factor in ({"f": [0.5, 2.0]}, {"f": [1.5, 3.0]}):
        expected = jax.tree.map(np.asarray, raw(x, factor))
        same_results(jax.tree.map(np.asarray, layer(x, factor)), expected)


@pytest.mark.law("A1")
def test_a_complex_number_is_traced_too(same_results):
    layer, raw = FlaxLayer(Halves()), jax.jit(lambda x, f: Halves().apply({}, x, f))
    for factor in ({"f": [0.5j, 2.0]}, {"f": [1.5 + 1j, 3.0]}):
        expected = jax.tree.map(np.asarray, raw(X + 2, factor))
        same_results(jax.tree.map(np.asarray, layer(X + 2, factor)), expected)
    assert len(layer._runner.cache.specs) == 2


@pytest.mark.law("A1")
def test_a_number_is_of_64_bits_under_x64(enable_x64, same_results):
    with enable_x64(True):
        layer, raw = FlaxLayer(Halves()), jax.jit(lambda x, f: Halves().apply({}, x, f))
        for x in (X, X.astype(np.float64)):
            factor = {"f": [1 / 3, 2.0]}
            expected = jax.tree.map(np.asarray, raw(x, factor))
            same_results(jax.tree.map(np.asarray, layer(x, factor)), expected)


class Branches(nn.Module):
    @nn.compact
    def __call__(self, x, rate):
        y = x + 1 if rate > 0.5 else x - 1
        return y * float(rate)


class BranchesNnx(nnx.Module):
    def __call__(self, x, rate):
        y = x + 1 if rate > 0.5 else x - 1
        return y * float(rate)


@pytest.mark.law("A1")
@pytest.mark.parametrize("make", [Branches, BranchesNnx], ids=["linen", "nnx"])
def test_a_number_that_a_module_branches_on_is_static_and_the_call_stays_compiled(make):
    layer = FlaxLayer(make())
    for rate in (0.25, 0.75, 0.25):
        expected = (X + 1 if rate > 0.5 else X - 1) * np.float32(rate)
        np.testing.assert_allclose(layer(X, rate), expected, rtol=1e-6)
    assert layer.discovery.traceable
    assert len(layer._runner.cache.calls) >= 2


@pytest.mark.law("A1")
def test_a_wrong_call_does_not_make_a_number_static():
    layer = FlaxLayer(Scaled())
    layer(X, 0.5)
    with pytest.raises(Exception, match="another form"):
        layer(X[:, :2], 0.5)
    layer(X, 0.5)
    known = len(layer._runner.cache.calls)
    layer(X, 0.75)
    assert len(layer._runner.cache.calls) == known


@pytest.mark.law("A7")
def test_a_number_is_not_cast_to_a_compute_dtype():
    class Keeps(nn.Module):
        @nn.compact
        def __call__(self, x, value):
            return x, jnp.float32(1) * value

    layer = FlaxLayer(Keeps(), dtype="mixed_bfloat16")
    x, value = layer(X, 1 / 3)
    assert "bfloat16" in str(x.dtype)
    assert float(value) == np.float32(1 / 3)


@pytest.mark.law("A1")
def test_a_number_is_stored_with_a_functional_model(tmp_path):
    x = keras.Input((3,))
    model = keras.Model(x, FlaxLayer(Scaled())(x, 0.5, shift=1 / 3))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(X), model(X))


@pytest.mark.law("A1")
def test_a_layer_built_with_a_number_trains_is_saved_and_loaded(tmp_path):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = FlaxLayer(Scaled())

        def call(self, x):
            return self.layer(x, 0.5)

    model = Model()
    model(X)
    model.compile("sgd", "mse")
    model.fit(X, X, epochs=1, verbose=0)
    expected = np.asarray(model.layer(X, 0.75))
    model.save_weights(tmp_path / "model.weights.h5")
    again = Model()
    again(X)
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(again.layer(X, 0.75), expected)
