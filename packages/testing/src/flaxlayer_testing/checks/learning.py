"""Checks of learning: gradients, three optimizer steps, by themselves and inside `fit` (K1, C2)."""

from __future__ import annotations

from typing import Any

import jax
import keras

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.needs import TRAINING, Need
from flaxlayer_testing.checks.randomness import refuse_other_keys
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.subject.keras_parts import ProbeModel
from flaxlayer_testing.subject.layer import peeked_keys, variables_of
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject
from flaxlayer_testing.subject.training import (
    MOMENTUM,
    RATE,
    raw_gradients,
    raw_steps,
    split_floats,
    trained_part,
)

__all__ = [
    "check_fit",
    "check_gradients",
    "check_train_step",
    "compiled_model",
    "layer_gradients",
    "train_steps",
]

STEPS = 3


def compiled_model(subject: Subject, layer: Any) -> ProbeModel:
    """Returns a model of a layer that `train_on_batch` and `fit` train by the probe loss."""

    def run(args: Any, kwargs: Any, training: Any) -> Any:
        return layer(*args, training=training, **kwargs)

    model = ProbeModel(layer, subject.oracle.raw, run)
    model.compile(keras.optimizers.SGD(RATE, momentum=MOMENTUM))
    return model


@check("K1", needs=(Need.TRACEABLE, Need.GRADIENTS))
def check_gradients(subject: Subject) -> Errors:
    """Gradients of params and floating inputs are those of raw Flax."""
    layer = subject.shared_layer()
    rngs = subject.expected.keys(layer, training=True)
    raw = jax.jit(lambda v, keys, arrays: raw_gradients(subject, v, keys, arrays)[0])
    by_params, by_inputs = raw(variables_of(layer), rngs, subject.arrays)
    actual, input_grads = layer_gradients(subject, layer)
    return largest(
        compare_runs(subject, by_params, actual, path="gradients", inlined=True),
        compare_runs(
            subject,
            split_floats(by_inputs)[0],
            input_grads,
            path="gradients of inputs",
            inlined=True,
        ),
    )


def layer_gradients(subject: Subject, layer: Any) -> tuple[dict[str, Any], list[Any]]:
    """Returns the gradients of the probe loss that a layer gives, and stores them in its weights.

    Args:
        subject: What is checked.
        layer: A built layer.

    Returns:
        Those by params, as a tree of variables, and those by floating inputs.
    """
    backend = current_backend()
    rest = [variable.value for variable in layer.non_trainable_variables]
    inputs, merge = split_floats(subject.arrays)

    def loss(trainable: list[Any], inputs: list[Any], rest: list[Any]) -> Any:
        args, kwargs = subject.oracle.raw.merge(merge(inputs))
        outputs, _, losses = layer.stateless_call(
            trainable, rest, *args, training=True, return_losses=True, **kwargs
        )
        return backend.probe_loss(outputs) + sum(losses)

    trainable = [variable.value for variable in layer.trainable_variables]
    grads, input_grads = backend.gradients(loss, trainable, inputs, rest)
    for variable, grad in zip(layer.trainable_variables, grads, strict=True):
        variable.assign(grad)
    return trained_part(subject, variables_of(layer)), input_grads


@check("K1", "C2", needs=TRAINING)
def check_train_step(subject: Subject) -> Errors:
    """Three `train_on_batch` leave the params and state of three Optax steps."""
    layer = subject.shared_layer()
    before = variables_of(layer)
    keys = train_steps(subject, layer)
    expected = raw_steps(subject, before, keys)
    path = "variables after three steps"
    return compare_runs(subject, expected, variables_of(layer), path=path, inlined=True)


def train_steps(subject: Subject, layer: Any) -> list[dict[str, Any]]:
    """Trains a layer by three `train_on_batch`, and returns the keys of each."""
    model, keys = compiled_model(subject, layer), []
    inputs = current_backend().to_backend(subject.arrays)
    for step in range(STEPS):
        keys.append(subject.expected.keys(layer, training=True, draws=step))
        model.train_on_batch(inputs)
    return keys


@check("K1", "C2", "R2", needs=TRAINING)
def check_fit(subject: Subject) -> Errors:
    """Three steps inside `fit` leave the params and state of three Optax steps."""
    layer = subject.shared_layer()
    model, before = compiled_model(subject, layer), variables_of(layer)
    keys = [subject.expected.keys(layer, training=True, draws=step) for step in range(STEPS)]

    def compare(epoch: int, logs: Any = None) -> None:
        found = peeked_keys(layer, training=True)
        refuse_other_keys(keys[epoch], found, f"Step {epoch + 1} of fit")

    model.fit(
        current_backend().batches(subject.arrays, any_batch=subject.oracle.takes_any_batch),
        epochs=STEPS,
        steps_per_epoch=1,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=compare)],
    )
    expected = raw_steps(subject, before, keys)
    path = "variables after three steps of fit"
    return compare_runs(subject, expected, variables_of(layer), path=path, inlined=True)
