"""Checks of what is frozen: whole layers, single weights and state, and the thaw (§3)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.calls import call_statelessly, run_raw
from flaxlayer_testing.checks.learning import compiled_model
from flaxlayer_testing.checks.needs import TRAINING, Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.layer import leaf_paths, variables_of, weight_paths
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject
from flaxlayer_testing.subject.training import raw_steps

__all__ = ["check_frozen_layer", "check_frozen_params", "check_frozen_state", "check_frozen_trace"]


@check("C5", needs=(Need.VARIABLES,))
def check_frozen_layer(subject: Subject) -> Errors:
    """A layer with `trainable=False` trains nothing and keeps its state, until it is thawed."""
    layer = subject.shared_layer()
    trainable = _trainable(layer)
    before = variables_of(layer)
    layer.trainable = False
    try:
        _refuse_trainable(layer, [], "Freezing a layer")
        subject.call(layer, training=True)
        after = variables_of(layer)
    finally:
        layer.trainable = True
    kept = compare_trees(before, after, bitwise=True, path="variables of a frozen layer")
    _refuse_trainable(layer, trainable, "Thawing a layer")
    return largest(kept, _compare_moved(subject, layer, "variables of a thawed layer"))


@check("C5", needs=(Need.TRACEABLE, Need.STATE))
def check_frozen_trace(subject: Subject) -> Errors:
    """A layer with `trainable=False` keeps its state in a compiled call, until it is thawed."""
    layer = subject.shared_layer()
    before = variables_of(layer)
    layer.trainable = False
    try:
        call_statelessly(subject, layer, training=True)
        after = variables_of(layer)
    finally:
        layer.trainable = True
    path = "variables of a frozen layer in a trace"
    kept = compare_trees(before, after, bitwise=True, path=path)
    _, updates = run_raw(subject, layer, training=True, draws=1)
    expected = subject.oracle.next_variables(variables_of(layer), updates)
    call_statelessly(subject, layer, training=True)
    path = "variables of a thawed layer in a trace"
    moved = compare_runs(subject, expected, variables_of(layer), path=path, inlined=True)
    return largest(kept, moved)


@check("C5", needs=TRAINING)
def check_frozen_params(subject: Subject) -> Errors:
    """Weights that are frozen by path are not trained, only they are not, until they are thawed."""
    layer = subject.shared_layer()
    trainable = _trainable(layer)
    frozen, free = trainable[::2], trainable[1::2]
    layer.freeze(*frozen)
    try:
        _refuse_trainable(layer, free, "Freezing paths")
        path = "variables after a step with frozen weights"
        errors = _compare_step(subject, layer, 0, frozen, path)
    finally:
        layer.unfreeze(*frozen)
    _refuse_trainable(layer, trainable, "Thawing paths")
    path = "variables after a step with thawed weights"
    return largest(errors, _compare_step(subject, layer, 1, (), path))


def _compare_step(
    subject: Subject, layer: Any, step: int, frozen: Sequence[str], path: str
) -> Errors:
    before, keys = variables_of(layer), subject.expected.keys(layer, training=True, draws=step)
    expected = _kept(raw_steps(subject, before, [keys]), before, frozen)
    model = compiled_model(subject, layer)
    with warnings.catch_warnings():
        # Keras says so on torch, where all is frozen.
        warnings.filterwarnings("ignore", "The model does not have any trainable weights")
        model.train_on_batch(current_backend().to_backend(subject.arrays))
    return compare_runs(subject, expected, leaf_paths(variables_of(layer)), path=path, inlined=True)


@check("C5", needs=(Need.STATE,))
def check_frozen_state(subject: Subject) -> Errors:
    """State that is frozen by path keeps its values, the other moves, until it is thawed."""
    layer, collections = subject.shared_layer(), subject.oracle.state_collections
    paths = [p for p in sorted(weight_paths(layer)) if p.partition("/")[0] in collections]
    frozen = paths[::2]
    layer.freeze(*frozen)
    try:
        before = variables_of(layer)
        _, updates = run_raw(subject, layer, training=True)
        after = subject.oracle.next_variables(before, updates)
        subject.call(layer, training=True)
        expected, found = _kept(after, before, frozen), leaf_paths(variables_of(layer))
    finally:
        layer.unfreeze(*frozen)
    kept = compare_runs(subject, expected, found, path="variables with frozen state")
    return largest(kept, _compare_moved(subject, layer, "variables with thawed state"))


def _compare_moved(subject: Subject, layer: Any, path: str) -> Errors:
    # The call while it was frozen drew a seed, too.
    _, updates = run_raw(subject, layer, training=True, draws=1)
    expected = subject.oracle.next_variables(variables_of(layer), updates)
    subject.call(layer, training=True)
    return compare_runs(subject, expected, variables_of(layer), path=path)


def _kept(after: Any, before: Any, frozen: Sequence[str]) -> dict[str, Any]:
    """Returns the leaves of a tree by path; what is frozen is as it was, or is still not there."""
    moved = {path: leaf for path, leaf in leaf_paths(after).items() if path not in frozen}
    return moved | {path: leaf for path, leaf in leaf_paths(before).items() if path in frozen}


def _trainable(layer: Any) -> list[str]:
    chosen = {id(variable) for variable in layer.trainable_variables}
    return sorted(path for path, v in weight_paths(layer).items() if id(v) in chosen)


def _refuse_trainable(layer: Any, expected: list[str], what: str) -> None:
    found = _trainable(layer)
    if found != expected:
        raise KeepLawError(
            f"{what} leaves other weights trainable than it should.",
            expected=", ".join(expected) or "no trainable weights",
            found=", ".join(found) or "no trainable weights",
            law="C5",
        )
