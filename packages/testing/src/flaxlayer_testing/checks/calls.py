"""Checks of a call: outputs in both modes, compiled and op by op, and what it sows (§3, §5)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.build import refuse_other_shapes
from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.subject.layer import as_symbolic, variables_of
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "call_statelessly",
    "check_inference",
    "check_losses",
    "check_op_by_op",
    "check_returned_sown",
    "check_sown",
    "check_stateless_call",
    "check_training",
    "run_raw",
]

MODES = (True, False)


def run_raw(
    subject: Subject, layer: Any, *, training: bool, draws: int = 0
) -> tuple[Any, dict[str, Any]]:
    """Runs raw apply with the layer's variables and the keys of a call after some draws."""
    rngs = subject.expected.keys(layer, training=training, draws=draws)
    return subject.oracle.apply(variables_of(layer), rngs, training=training)


def _mode(training: bool) -> str:
    return "training" if training else "inference"


def _compare_outputs(subject: Subject, *, training: bool) -> Errors:
    layer = subject.shared_layer()
    expected, _ = run_raw(subject, layer, training=training)
    actual = subject.call(layer, training=training)
    path = f"outputs in {_mode(training)}"
    return compare_runs(subject, expected, actual, path=path)


@check("A1", "A5", "A6")
def check_inference(subject: Subject) -> Errors:
    """An eager call at inference gives the bits of a jitted raw apply."""
    return _compare_outputs(subject, training=False)


@check("A2", "A6")
def check_training(subject: Subject) -> Errors:
    """An eager call in training gives the bits of a jitted apply with its keys."""
    return _compare_outputs(subject, training=True)


@check("C7")
def check_sown(subject: Subject) -> Errors:
    """After an eager call the transient collections stand on the layer."""
    errors = []
    for training in MODES:
        layer = subject.shared_layer()
        _, updates = run_raw(subject, layer, training=training)
        subject.call(layer, training=training)
        path, expected = f"sown in {_mode(training)}", subject.oracle.transient(updates)
        sown = dict(layer.sown)
        errors.append(compare_runs(subject, expected, sown, path=path))
    return largest(*errors)


@check("C7", needs=(Need.SOWN, Need.TRACEABLE))
def check_returned_sown(subject: Subject) -> Errors:
    """With `return_sown` a call returns the transient collections, a symbolic one too."""
    names = subject.oracle.sows
    layer = subject.built_layer(return_sown=names)
    outputs, updates = run_raw(subject, layer, training=True)
    sown = subject.oracle.transient(updates)
    args, kwargs = as_symbolic((subject.inputs, dict(subject.arguments)))
    refuse_other_shapes(layer(*args, training=True, **kwargs), (outputs, sown))
    actual = subject.call(layer, training=True)
    path = "outputs and sown values"
    return compare_runs(subject, (outputs, sown), actual, path=path)


@check("C7")
def check_losses(subject: Subject) -> Errors:
    """The leaves of the collection `losses`, summed, are what the layer adds to the loss."""
    layer = subject.shared_layer()
    _, updates = run_raw(subject, layer, training=True)
    subject.call(layer, training=True)
    expected = subject.oracle.sown_loss(updates)
    added = current_backend().to_arrays(sum(layer.losses, 0.0))
    actual = jnp.asarray(added, expected.dtype)
    return compare_runs(subject, expected, actual, path="added losses", inlined=True)


@check("A6", needs=(Need.TRACEABLE,))
def check_stateless_call(subject: Subject) -> Errors:
    """A compiled `stateless_call` gives what raw apply gives, and writes nothing."""
    errors = []
    for training in MODES:
        layer = subject.shared_layer()
        outputs, updates = run_raw(subject, layer, training=training)
        expected = subject.oracle.next_variables(variables_of(layer), updates)
        before = variables_of(layer)
        actual, after = _stateless(subject, layer, training)
        compare_trees(before, variables_of(layer), bitwise=True, path="variables left alone")
        path = f"outputs of stateless_call in {_mode(training)}"
        errors.append(compare_runs(subject, outputs, actual, path=path, inlined=True))
        _assign(layer, after)
        path = f"state of stateless_call in {_mode(training)}"
        actual = variables_of(layer)
        errors.append(compare_runs(subject, expected, actual, path=path, inlined=True))
    return largest(*errors)


def call_statelessly(subject: Subject, layer: Any, *, training: bool) -> None:
    """Makes a compiled `stateless_call`, and gives the layer the state that it returns."""
    _, after = _stateless(subject, layer, training)
    _assign(layer, after)


def _assign(layer: Any, values: list[Any]) -> None:
    for variable, value in zip(layer.non_trainable_variables, values, strict=True):
        variable.assign(value)


def _stateless(subject: Subject, layer: Any, training: bool) -> tuple[Any, list[Any]]:
    def call(trainable: list[Any], rest: list[Any], arrays: list[Any]) -> Any:
        args, kwargs = subject.oracle.raw.merge(arrays)
        return layer.stateless_call(trainable, rest, *args, training=training, **kwargs)

    trainable = [variable.value for variable in layer.trainable_variables]
    rest = [variable.value for variable in layer.non_trainable_variables]
    outputs, after = current_backend().compile(call)(trainable, rest, subject.arrays)
    return outputs, list(after)


def _in_jax(leaf: Any) -> jax.Array:
    return leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf)


@check("A6")
def check_op_by_op(subject: Subject) -> Errors:
    """Under `jax.disable_jit` a call has the bits of a raw apply that runs op by op."""
    layer = subject.shared_layer()
    rngs = subject.expected.keys(layer, training=True)
    function = subject.oracle.function(training=True)
    # Op by op, arrays of NumPy would follow NumPy's promotion where a module computes with them.
    variables = jax.tree_util.tree_map(_in_jax, variables_of(layer))
    with jax.disable_jit():
        expected, _ = function(variables, rngs, subject.arrays)
        actual = subject.call(layer, training=True)
    return compare_runs(subject, expected, actual, path="outputs op by op")
