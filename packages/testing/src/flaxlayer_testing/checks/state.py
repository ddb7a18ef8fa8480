"""Checks of state: over steps, in both modes, and when it is kept (§3)."""

from __future__ import annotations

from flaxlayer_testing.checks.calls import run_raw
from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.subject.layer import variables_of
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = ["check_state_inference", "check_state_training", "check_state_updates"]

STEPS = 3


def _compare_state(subject: Subject, *, training: bool, steps: int, path: str) -> Errors:
    layer, oracle = subject.shared_layer(), subject.oracle
    expected = variables_of(layer)
    for step in range(steps):
        rngs = subject.expected.keys(layer, training=training, draws=step)
        _, updates = oracle.apply(expected, rngs, training=training)
        expected = oracle.next_variables(expected, updates)
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


@check("C3", needs=(Need.STATE,))
def check_state_updates(subject: Subject) -> Errors:
    """`state_updates` says when changed state is kept: never, or in training alone."""
    layer = subject.built_layer(state_updates="never")
    before = variables_of(layer)
    for training in (True, False):
        subject.call(layer, training=training)
    path = "variables with state_updates='never'"
    never = compare_trees(before, variables_of(layer), bitwise=True, path=path)
    layer = subject.built_layer(state_updates="training")
    before = variables_of(layer)
    _, updates = run_raw(
        subject, layer, training=True, draws=int(subject.oracle.needs_rng(training=False))
    )
    expected = subject.oracle.next_variables(before, updates)
    for training in (False, True, False):
        subject.call(layer, training=training)
    path = "variables with state_updates='training'"
    return largest(never, compare_runs(subject, expected, variables_of(layer), path=path))
