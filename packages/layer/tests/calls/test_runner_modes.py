"""A call in one mode needs nothing that the module takes in the other alone (A1, A2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import BuildModuleError, CallArgumentError, MatchVariablesError, init_rngs
from packages.layer.tests.needs import needs_nnx

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)
LABELS = {"y": np.ones((2, 3), np.float32)}


class Learns(nn.Module):
    """Gives a loss in training, which takes labels, and predictions else."""

    @nn.compact
    def __call__(self, x, labels=None, train=False):
        y = nn.BatchNorm(use_running_average=not train)(nn.Dense(3)(x))
        y = nn.Dropout(0.5, deterministic=not train)(y)
        return jnp.square(y - labels["y"]).mean() if train else y


class Predicts(nn.Module):
    """Refuses labels where it predicts."""

    @nn.compact
    def __call__(self, x, labels=None, train=False):
        assert train or labels is None, "no labels at inference"
        y = nn.Dense(3)(x)
        return y if labels is None else y - labels["y"]


class LearnsInNnx(nnx.Module):
    def __init__(self, *, rngs):
        self.dense, self.dropout = nnx.Linear(4, 3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x, labels=None):
        y = self.dropout(self.dense(x))
        return y if self.dropout.deterministic else jnp.square(y - labels["y"]).mean()


def learning(**kwargs):
    layer = FlaxLayer(Learns(), seed=3, **kwargs)
    layer.build_on(X, labels=LABELS)
    return layer


@pytest.mark.law("A1", "A2")
def test_inference_works_without_what_training_takes(same_results):
    layer = learning()
    variables = layer.flax_variables()
    raw = jax.jit(lambda variables: Learns().apply(variables, X))
    same_results(layer(X), raw(variables))
    assert layer(keras.KerasTensor((None, 4))).shape == (None, 3)
    assert layer.peek_rngs(X, training=False) == {}


@pytest.mark.law("A1", "A2")
def test_training_goes_on_beside_such_inference(same_results):
    layer = learning()
    layer(X)
    keys, variables = layer.peek_rngs(training=True), layer.flax_variables()
    assert list(keys) == ["dropout"]

    def apply(variables, keys):
        return Learns().apply(variables, X, LABELS, True, rngs=keys, mutable=["batch_stats"])

    outputs, updates = jax.jit(apply)(variables, keys)
    same_results(layer(X, labels=LABELS, training=True), outputs)
    same_results(layer.flax_variables()["batch_stats"], updates["batch_stats"])
    layer(X)


@pytest.mark.law("A1")
def test_the_mode_that_lacks_something_says_so_each_time():
    layer = learning()
    before = layer.seed_generator.state.numpy().tolist()
    layer(X)
    for _ in range(2):
        with pytest.raises(
            CallArgumentError, match=r"NoneType(.|\n)*labels\['y'\]: float32\[2,3\]"
        ):
            layer(X, training=True)
    assert layer.seed_generator.state.numpy().tolist() == before
    layer(X)


@pytest.mark.law("A1", "A2")
def test_training_works_with_what_inference_refuses(same_results):
    layer = FlaxLayer(Predicts(), seed=3)
    layer(X)
    raw = jax.jit(lambda variables: Predicts().apply(variables, X, LABELS, True))
    same_results(layer(X, labels=LABELS, training=True), raw(layer.flax_variables()))
    with pytest.raises(CallArgumentError, match="no labels at inference"):
        layer(X, labels=LABELS)


@pytest.mark.law("A1")
def test_a_form_that_a_mode_refused_is_asked_again_with_other_arrays():
    class Peaks(nn.Module):
        @nn.compact
        def __call__(self, x, scale=None, train=False):
            y = x if scale is None else x * scale
            return y / jnp.max(y) if train else y

    layer = FlaxLayer(Peaks())
    layer(X, X)
    assert layer(X[:0]).shape == (0, 4)
    np.testing.assert_array_equal(layer(X, training=True), X / X.max())


@needs_nnx
@pytest.mark.law("A1", "A2")
@pytest.mark.parametrize("known", [True, False])
def test_a_module_of_nnx_predicts_without_labels(same_results, known):
    layer = FlaxLayer(LearnsInNnx, seed=3)
    layer.build_on(X, labels=LABELS) if known else layer(X)
    module = layer.to_module()
    module.eval()
    same_results(layer(X), nnx.jit(lambda module: module(X))(module))
    assert layer(X, labels=LABELS, training=True).shape == ()


@pytest.mark.law("A1", "B2")
def test_the_first_call_needs_nothing_of_the_other_mode(same_results, tmp_path):
    layer = FlaxLayer(Learns(), seed=3)
    assert FlaxLayer(Learns(), seed=3)(keras.KerasTensor((None, 4))).shape == (None, 3)
    outputs = layer(X)
    raw = jax.jit(lambda keys: Learns().init(keys, X))(init_rngs(3, ["params"]))
    same_results(layer.flax_variables(), raw)
    same_results(outputs, jax.jit(lambda variables: Learns().apply(variables, X))(raw))
    assert layer(X, labels=LABELS, training=True).shape == ()
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(Learns(), name="learns")])
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "learns.keras")
    loaded = keras.saving.load_model(tmp_path / "learns.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), expected)


@pytest.mark.law("A1", "B2")
def test_the_first_call_may_be_one_that_inference_refuses(same_results):
    layer = FlaxLayer(Predicts(), seed=3)
    outputs = layer(X, labels=LABELS, training=True)
    raw = jax.jit(lambda keys: Predicts().init(keys, X, LABELS, True))(init_rngs(3, ["params"]))
    same_results(layer.flax_variables(), raw)
    apply = jax.jit(lambda variables: Predicts().apply(variables, X, LABELS, True))
    same_results(outputs, apply(raw))
    texts = []
    layer.summary(print_fn=texts.append)
    assert "float32[2,3]" in str(texts)
    assert layer(X).shape == (2, 3)


@pytest.mark.law("A1")
def test_a_first_call_in_a_mode_that_is_refused_builds_nothing():
    for module, arguments, training in (
        (Learns(), {}, True),
        (Predicts(), {"labels": LABELS}, False),
    ):
        layer = FlaxLayer(module)
        with pytest.raises(BuildModuleError, match="in training and at inference"):
            layer(X, training=training, **arguments)
        assert not layer.built


class Contrasts(nn.Module):
    """Takes tokens, and in training a target beside them."""

    @nn.compact
    def __call__(self, tokens, *, target=None, train=False):
        y = nn.Dropout(0.5, deterministic=not train)(nn.Embed(9, 3)(tokens).mean(-2))
        return jnp.square(y - target).mean() if train else y


TOKENS = np.array([[1, 2, 3, 0], [4, 5, 0, 8]], np.int32)


@pytest.mark.law("A10", "B2")
def test_a_build_from_shapes_needs_nothing_of_the_other_mode(same_results):
    layer = FlaxLayer(Contrasts(), seed=3)
    layer.build((None, 4))
    raw = Contrasts().init(init_rngs(3, ["params"]), TOKENS)
    same_results(layer.flax_variables(), raw)
    apply = jax.jit(lambda variables: Contrasts().apply(variables, TOKENS))
    same_results(layer(TOKENS), apply(raw))
    assert layer.compute_output_shape((None, 4)) == (None, 3)
    assert layer(TOKENS, target=np.ones((2, 3), np.float32), training=True).shape == ()


@pytest.mark.law("A10", "A11")
def test_what_keras_builds_from_shapes_needs_nothing_of_the_other_mode(same_results):
    def wrapped():
        return keras.layers.TimeDistributed(FlaxLayer(Contrasts(), seed=3))

    steps = np.stack([TOKENS, TOKENS[::-1]])
    outputs = wrapped()(steps)
    assert outputs.shape == (2, 2, 3)
    model = keras.Sequential([keras.Input((2, 4), dtype="int32"), wrapped()])
    same_results(model.predict(steps, verbose=0), np.asarray(outputs))
    assert keras.Sequential([FlaxLayer(Contrasts())])(TOKENS).shape == (2, 3)


@pytest.mark.law("W5", "A1")
def test_a_subclass_may_build_for_other_shapes_than_those_of_its_call():
    class Doubled(FlaxLayer):
        def build(self, input_shape):
            super().build((input_shape[0], 2 * input_shape[1]))

        def call(self, inputs, **kwargs):
            return super().call(keras.ops.tile(inputs, (1, 2)), **kwargs)

    layer = Doubled(Contrasts())
    assert layer(TOKENS).shape == (2, 3)
    with pytest.raises(BuildModuleError, match="in training and at inference"):
        Doubled(Contrasts())(TOKENS, training=True)


@pytest.mark.law("A10")
def test_a_build_from_shapes_that_fails_in_both_modes_names_the_first_failure():
    class Broken(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            raise RuntimeError("no training" if train else "no inference")

    with pytest.raises(BuildModuleError, match="no training") as caught:
        FlaxLayer(Broken()).build((None, 4))
    assert "in training and at inference" in str(caught.value)


@pytest.mark.law("B4")
def test_given_variables_that_one_mode_refuses_are_no_reason_to_build_for_the_other():
    variables = Learns().init(jax.random.key(0), X)
    variables["params"]["Dense_0"]["bias"] = jnp.zeros(5)
    with pytest.raises(MatchVariablesError, match="bias"):
        FlaxLayer(Learns(), variables=variables)(X)
