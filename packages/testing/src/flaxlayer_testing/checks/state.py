"""Checks of state: over steps, in both modes, frozen (§3)."""

from __future__ import annotations

from typing import Any

from flaxlayer_testing.checks.calls import run_raw
from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import Errors, check
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.layer import variables_of, weight_paths
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "check_frozen_layer",
    "check_frozen_paths",
    "check_state_inference",
    "check_state_training",
]

STEPS = 3


def _compare_state(subject: Subject, *, training: bool, steps: int, path: str) -> Errors:
    layer, reference = subject.shared_layer(), subject.reference
    expected = variables_of(layer)
    for step in range(steps):
        rngs = subject.expected.keys(layer, training=training, draws=step)
        _, updates = reference.apply(expected, rngs, training=training)
        expected = reference.next_variables(expected, updates)
        subject.call(layer, training=training)
    return compare_runs(subject, expected, variables_of(layer), path=path)


@check("C2", "C4", needs=(Need.STATE,))
def check_state_training(subject: Subject) -> Errors:
    """After three training calls state has the bits that raw apply gives, fed back."""
    return _compare_state(subject, training=True, steps=STEPS, path="variables after training")


@check("C3", needs=(Need.STATE,))
def check_state_inference(subject: Subject) -> Errors:
    """At inference only that state changes which the module changes without being asked."""
    return _compare_state(subject, training=False, steps=2, path="variables after inference")


@check("C5", needs=(Need.VARIABLES,))
def check_frozen_layer(subject: Subject) -> Errors:
    """A layer with `trainable=False` has nothing to train and changes no state."""
    layer = subject.shared_layer()
    before = variables_of(layer)
    layer.trainable = False
    try:
        _refuse_trainable(layer, [])
        subject.call(layer, training=True)
        after = variables_of(layer)
    finally:
        layer.trainable = True
    return compare_trees(before, after, bitwise=True, path="variables of a frozen layer")


@check("C5", needs=(Need.PARAMS,))
def check_frozen_paths(subject: Subject) -> Errors:
    """A weight that is frozen by its path is not trained, and only it."""
    layer = subject.shared_layer()
    trainable = sorted(p for p, v in weight_paths(layer).items() if v.trainable)
    if not trainable:
        return {}
    layer.freeze(trainable[0])
    try:
        _refuse_trainable(layer, trainable[1:])
        expected, _ = run_raw(subject, layer, training=False)
        actual = subject.call(layer, training=False)
    finally:
        layer.unfreeze(trainable[0])
    _refuse_trainable(layer, trainable)
    path = "outputs with a frozen weight"
    return compare_runs(subject, expected, actual, path=path)


def _refuse_trainable(layer: Any, expected: list[str]) -> None:
    chosen = {id(variable) for variable in layer.trainable_variables}
    found = sorted(path for path, v in weight_paths(layer).items() if id(v) in chosen)
    if found != expected:
        raise KeepLawError(
            "Freezing leaves other weights trainable than it should.",
            expected=", ".join(expected) or "no trainable weights",
            found=", ".join(found) or "no trainable weights",
            law="C5",
        )
