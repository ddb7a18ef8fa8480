"""In training the layer does what `keras.layers.FlaxLayer` does in its place."""

import jax
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from packages.layer.tests.reference_pairs import (
    BAKES_IN_SIZES,
    BESIDE_THE_REFERENCE,
    Subclassed,
    Trained,
    X,
    Y,
    both,
    close,
    fit,
    functional,
    pair,
    sequential,
    subclassed,
    variables_of,
    weights_by_name,
)


@BESIDE_THE_REFERENCE
@pytest.mark.parametrize(
    "kind", [functional, sequential, pytest.param(subclassed, marks=BAKES_IN_SIZES)]
)
def test_training_gives_the_weights_and_the_state_that_the_reference_gives(kind):
    module = Trained()
    layers = pair(module, variables=variables_of(module))
    histories = []
    for model in both(layers, kind):
        model.compile(keras.optimizers.SGD(0.05), "mse")
        histories.append(fit(model).history["loss"])
    reference, own = map(weights_by_name, layers)
    close(own, reference, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float32"])
def test_a_model_trains_under_a_mixed_policy_and_keeps_its_weights_in_float32(policy):
    model = functional(FlaxLayer(Trained(), dtype=policy))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    losses = fit(model, epochs=6).history["loss"]
    assert losses[-1] < losses[0]
    assert {variable.dtype for variable in model.weights} == {"float32"}


def test_early_stopping_restores_the_best_weights():
    model = functional(FlaxLayer(Trained()))
    model.compile(keras.optimizers.SGD(30.0), "mse")
    seen = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((logs["val_loss"], model.get_weights()))
    )
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    fit(model, epochs=6, validation_data=(X, Y), callbacks=[keep, stop])
    best = min(
        ((loss, weights) for loss, weights in seen if np.isfinite(loss)), key=lambda item: item[0]
    )
    close(model.get_weights(), best[1], rtol=0, atol=0)


@pytest.mark.parametrize("weights_only", [False, True])
def test_model_checkpoint_writes_what_loads_again(weights_only, tmp_path):
    path = tmp_path / ("m.weights.h5" if weights_only else "m.keras")
    model = functional(FlaxLayer(Trained()))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    saver = keras.callbacks.ModelCheckpoint(path, save_weights_only=weights_only)
    fit(model, epochs=2, callbacks=[saver])
    if weights_only:
        again = functional(FlaxLayer(Trained()))
        again.load_weights(path)
    else:
        again = keras.models.load_model(path)
    close(again.get_weights(), model.get_weights(), rtol=0, atol=0)


class CustomStep(keras.Model):
    """A model with the JAX train step of Keras's guide."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, x, training=False):
        return self.layer(x, training=training)

    def compute_loss_and_updates(self, trainable, non_trainable, x, y):
        predicted, non_trainable = self.stateless_call(trainable, non_trainable, x, training=True)
        return self.compute_loss(x, y, predicted), (predicted, non_trainable)

    def train_step(self, state, data):
        trainable, non_trainable, optimizer, metrics = state
        x, y = data
        gradient = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        (loss, (_, non_trainable)), gradients = gradient(trainable, non_trainable, x, y)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        return {"loss": loss}, (trainable, non_trainable, optimizer, metrics)


@pytest.mark.jax_only("the train step of Keras's guide for JAX")
def test_a_custom_train_step_trains_as_the_built_in_one():
    variables = variables_of(Trained())
    layers = [FlaxLayer(Trained(), variables=variables) for _ in range(2)]
    for layer, kind in zip(layers, (CustomStep, Subclassed), strict=True):
        model = kind(layer)
        model(X)
        model.compile(keras.optimizers.SGD(0.05), "mse")
        fit(model)
    close(*map(weights_by_name, layers), rtol=1e-5, atol=1e-6)


@BESIDE_THE_REFERENCE
def test_an_activity_regularizer_adds_its_loss_as_in_the_reference():
    module = Trained()
    layers = pair(module, variables=variables_of(module), activity_regularizer="l2")
    for layer in layers:
        layer(X)
    np.testing.assert_allclose(layers[1].losses[0], layers[0].losses[0], rtol=1e-6)


@BESIDE_THE_REFERENCE
@pytest.mark.usefixtures("reference")
def test_a_frozen_layer_keeps_its_params_in_fit_as_in_the_reference():
    for layer in pair(Trained()):
        layer.trainable = False
        model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2)])
        before = jax.tree.map(np.asarray, layer.params)
        model.compile(keras.optimizers.SGD(0.05), "mse")
        fit(model)
        close(layer.params, before, rtol=0, atol=0)


@pytest.mark.jax_only("of jax.grad through stateless_call; backends/tensorflow has those of a tape")
def test_gradients_of_a_training_step_are_those_of_raw_apply():
    layer = FlaxLayer(Trained())
    layer(X)
    variables = layer.flax_variables()
    trainable = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]

    def loss(values):
        outputs, _ = layer.stateless_call(values, others, X, training=True)
        return ((outputs - Y) ** 2).mean()

    def raw_loss(params):
        tree = {**variables, "params": params}
        outputs, _ = Trained().apply(tree, X, training=True, mutable=["batch_stats"])
        return ((outputs - Y) ** 2).mean()

    expected = jax.tree.leaves(jax.grad(raw_loss)(variables["params"]))
    close(jax.grad(loss)(trainable), expected, rtol=1e-5, atol=1e-6)
