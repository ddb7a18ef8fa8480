"""Checks of learning: gradients, three optimizer steps, by themselves and inside `fit` (K1, C2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import keras
import optax

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.base import Errors, largest
from flaxlayer_testing.checks.randomness import refuse_equal_keys
from flaxlayer_testing.parity import compare_runs
from flaxlayer_testing.raw import RawCall, Variables
from flaxlayer_testing.subject import Subject
from flaxlayer_testing.under_test import call_rngs, variables_of

__all__ = ["check_fit", "check_gradients", "check_train_step"]

RATE, MOMENTUM = 0.125, 0.5
OPTIMIZER = optax.sgd(RATE, momentum=MOMENTUM)
STEPS = 3


# The raw side.


def _floats(tree: Any) -> tuple[list[Any], Any]:
    """Splits a tree into its floating leaves and a function that puts others in their place."""
    leaves, treedef = jax.tree_util.tree_flatten(tree)
    floating = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]

    def merge(values: list[Any]) -> Any:
        following = iter(values)
        pairs = zip(leaves, floating, strict=True)
        merged = [next(following) if is_float else leaf for leaf, is_float in pairs]
        return jax.tree_util.tree_unflatten(treedef, merged)

    chosen = [leaf for leaf, is_float in zip(leaves, floating, strict=True) if is_float]
    return chosen, merge


def _trained(subject: Subject, variables: Variables) -> dict[str, Any]:
    return {n: tree for n, tree in variables.items() if n in subject.reference.raw.trainable}


def _raw_gradients(
    subject: Subject, variables: Variables, rngs: Mapping[str, Any], arrays: list[Any]
) -> tuple[tuple[Any, Any], dict[str, Any]]:
    params, merge_params = _floats(_trained(subject, variables))
    inputs, merge_inputs = _floats(arrays)

    def loss(params: list[Any], inputs: list[Any]) -> tuple[Any, Any]:
        whole = {**variables, **merge_params(params)}
        return subject.reference.loss(whole, rngs, merge_inputs(inputs))

    grads, updates = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, inputs)
    return (merge_params(grads[0]), merge_inputs(grads[1])), updates


def _raw_step(
    subject: Subject, variables: Variables, moments: Any, rngs: Mapping[str, Any], arrays: list[Any]
) -> tuple[dict[str, Any], Any]:
    (grads, _), updates = _raw_gradients(subject, variables, rngs, arrays)
    params, merge = _floats(_trained(subject, variables))
    grads = current_backend().descent(_floats(grads)[0])
    changes, moments = OPTIMIZER.update(grads, moments)
    moved = merge(optax.apply_updates(params, changes))
    following = subject.reference.next_variables(variables, updates)
    return {**following, **moved}, moments


def _raw_steps(subject: Subject, variables: Variables, keys: list[Any]) -> dict[str, Any]:
    step = jax.jit(lambda v, moments, rngs, arrays: _raw_step(subject, v, moments, rngs, arrays))
    current, moments = dict(variables), OPTIMIZER.init(_floats(_trained(subject, variables))[0])
    for rngs in keys:
        current, moments = step(current, moments, rngs, subject.arrays)
    return current


# The side of the layer.


class ProbeModel(keras.Model):
    """A model whose loss is `probe_loss` of a layer's outputs.

    Args:
        layer: The layer under test.
        raw: Puts the arrays, which are the model's inputs, into the arguments of the call.
    """

    def __init__(self, layer: Any, raw: RawCall) -> None:
        super().__init__()
        self.layer, self.raw = layer, raw

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Adds the loss and returns it."""
        args, kwargs = self.raw.merge(list(inputs))
        loss = current_backend().probe_loss(self.layer(*args, training=training, **kwargs))
        self.add_loss(loss)
        return loss


def _compiled_model(subject: Subject, layer: Any) -> ProbeModel:
    model = ProbeModel(layer, subject.reference.raw)
    model.compile(keras.optimizers.SGD(RATE, momentum=MOMENTUM))
    return model


def check_gradients(subject: Subject) -> Errors:
    """Gradients of params and floating inputs are those of raw Flax (K1)."""
    layer = subject.shared_layer()
    rngs = call_rngs(layer, training=True)
    raw = jax.jit(lambda v, keys, arrays: _raw_gradients(subject, v, keys, arrays)[0])
    by_params, by_inputs = raw(variables_of(layer), rngs, subject.arrays)
    grads, input_grads = _layer_gradients(subject, layer)
    for variable, grad in zip(layer.trainable_variables, grads, strict=True):
        variable.assign(grad)
    actual = _trained(subject, variables_of(layer))
    return largest(
        compare_runs(by_params, actual, quantity="gradients", path="gradients", inlined=True),
        compare_runs(
            _floats(by_inputs)[0],
            input_grads,
            quantity="gradients",
            path="gradients of inputs",
            inlined=True,
        ),
    )


def _layer_gradients(subject: Subject, layer: Any) -> tuple[list[Any], list[Any]]:
    backend = current_backend()
    rest = [variable.value for variable in layer.non_trainable_variables]
    inputs, merge = _floats(subject.arrays)

    def loss(trainable: list[Any], inputs: list[Any], rest: list[Any]) -> Any:
        args, kwargs = subject.reference.raw.merge(merge(inputs))
        outputs, _, losses = layer.stateless_call(
            trainable, rest, *args, training=True, return_losses=True, **kwargs
        )
        return backend.probe_loss(outputs) + sum(losses)

    trainable = [variable.value for variable in layer.trainable_variables]
    return backend.gradients(loss, trainable, inputs, rest)


def check_train_step(subject: Subject) -> Errors:
    """Three `train_on_batch` leave the params and state of three Optax steps (K1, C2)."""
    layer = subject.shared_layer()
    model, before = _compiled_model(subject, layer), variables_of(layer)
    keys, inputs = [], current_backend().to_backend(subject.arrays)
    for _ in range(STEPS):
        keys.append(call_rngs(layer, training=True))
        model.train_on_batch(inputs)
    expected = _raw_steps(subject, before, keys)
    path = "variables after three steps"
    return compare_runs(expected, variables_of(layer), quantity="steps", path=path, inlined=True)


def check_fit(subject: Subject) -> Errors:
    """Three steps inside `fit` leave the params and state of three Optax steps (K1, C2, R2)."""
    layer = subject.shared_layer()
    model, before = _compiled_model(subject, layer), variables_of(layer)
    keys: list[Any] = []

    def record(epoch: int, logs: Any = None) -> None:
        keys.append(call_rngs(layer, training=True))

    model.fit(
        current_backend().batches(subject.arrays, any_batch=subject.reference.takes_any_batch),
        epochs=STEPS,
        steps_per_epoch=1,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=record)],
    )
    refuse_equal_keys(keys)
    expected = _raw_steps(subject, before, keys)
    path = "variables after three steps of fit"
    return compare_runs(expected, variables_of(layer), quantity="steps", path=path, inlined=True)
