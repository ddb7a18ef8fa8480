"""State that a module makes only when it is applied, in a layer (C2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer

pytestmark = pytest.mark.law("C2")

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


class RunningMean(nn.Module):
    """Starts its mean from the first batch that it is applied to."""

    when: str = "always"

    @nn.compact
    def __call__(self, x, training):
        x = nn.Dense(3)(x)
        applies = {"always": True, "training": training, "inference": not training}[self.when]
        if applies and not self.is_initializing():
            mean = self.variable("moments", "mean", lambda: x.mean(0))
            mean.value = 0.9 * mean.value + 0.1 * x.mean(0)
        if self.has_variable("moments", "mean"):
            x = x - self.get_variable("moments", "mean")
        return x


def raw_steps(module, variables, modes):
    apply = jax.jit(module.apply, static_argnums=2, static_argnames="mutable")
    for training in modes:
        y, state = apply(variables, X, training, mutable=("moments",))
        variables = {**variables, **state}
        yield y, variables


def same(ours, raw):
    assert jax.tree.structure(ours) == jax.tree.structure(raw)
    for left, right in zip(jax.tree.leaves(ours), jax.tree.leaves(raw), strict=True):
        np.testing.assert_allclose(left, right, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("when", ["always", "training", "inference"])
def test_calls_give_what_raw_calls_give(when):
    layer = FlaxLayer(RunningMean(when))
    layer.build((None, 3))
    modes = (False, True, True, False, True, False)
    for training, (y, variables) in zip(
        modes, raw_steps(RunningMean(when), layer.flax_variables(), modes), strict=True
    ):
        same(layer(X, training=training), y)
        same(layer.flax_variables(), variables)


def test_the_tree_of_a_built_layer_has_no_state_yet():
    layer = FlaxLayer(RunningMean())
    layer.build((None, 3))
    assert set(layer.flax_variables()) == {"params"}
    layer(X)
    assert set(layer.flax_variables()) == {"params", "moments"}


def test_a_model_fits_with_it():
    layer = FlaxLayer(RunningMean(), seed=1)
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(X, X, batch_size=4, epochs=3, shuffle=False, verbose=0)
    *_, (_, variables) = raw_steps(
        RunningMean(), {"params": layer.flax_variables()["params"]}, [True] * 3
    )
    same(layer.flax_variables(), variables)


def test_a_loaded_tree_makes_the_state():
    layer, other = FlaxLayer(RunningMean()), FlaxLayer(RunningMean())
    layer(X)
    other.build((None, 3))
    other.load_flax_variables(layer.flax_variables())
    same(other.flax_variables(), layer.flax_variables())
    same(other(X), layer(X))


def test_given_variables_may_hold_it():
    given = {"moments": {"mean": np.array([1.0, 2.0, 3.0], np.float32)}}
    layer = FlaxLayer(RunningMean("training"), variables=given)
    y = layer(X)
    same(layer.flax_variables()["moments"], given["moments"])
    raw = RunningMean("training").apply(layer.flax_variables(), X, False)
    same(y, raw)


@pytest.mark.parametrize("called", [False, True])
def test_a_saved_model_knows_whether_it_is_made(tmp_path, called):
    layer = FlaxLayer(RunningMean("training"))
    model = keras.Sequential([keras.Input((3,)), layer])
    if called:
        model(X, training=True)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(
        tmp_path / "m.keras", custom_objects={"RunningMean": RunningMean}
    )
    same(loaded.layers[0].flax_variables(), layer.flax_variables())


def test_a_frozen_layer_never_makes_it():
    layer = FlaxLayer(RunningMean(), trainable=False)
    layer(X, training=True)
    assert set(layer.flax_variables()) == {"params"}


def test_to_module_is_bound_to_what_is_made():
    layer = FlaxLayer(RunningMean())
    layer.build((None, 3))
    assert "moments" not in layer.to_module().variables
    layer(X)
    assert "moments" in layer.to_module().variables


def test_state_that_only_another_call_makes_is_refused():
    class Remembers(nn.Module):
        @nn.compact
        def __call__(self, x, remember):
            if remember and not self.is_initializing():
                self.variable("memory", "x", lambda: jnp.zeros((3,)))
            return x

    layer = FlaxLayer(Remembers())
    layer(X, False)
    with pytest.raises(ValueError, match="makes state that is not known from its build: memory"):
        layer(X, True)
