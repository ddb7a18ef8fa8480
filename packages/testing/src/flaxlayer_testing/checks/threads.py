"""Checks of calls from several threads (§5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.layer import variables_of, weight_paths
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.simultaneous import call_at_once
from flaxlayer_testing.subject.subject import Subject

__all__ = ["COUNT", "check_threads"]

COUNT = 4
"""How many threads make the first call of a layer."""


@check("A8", needs=(Need.STILL,))
def check_threads(subject: Subject) -> Errors:
    """A layer that several threads call first is built once, and gives each its outputs."""
    layer, twin = subject.new_layer(), subject.new_layer()
    subject.call(twin, training=False)
    found = _at_once(lambda: subject.call(layer, training=False))
    expected, actual = sorted(weight_paths(twin)), sorted(v.path for v in layer.weights)
    if [f"{layer.name}/{path}" for path in expected] != actual:
        raise KeepLawError(
            "A layer that several threads call first does not have its weights once.",
            expected=", ".join(expected) or "no weights",
            found=", ".join(actual) or "no weights",
            law="A8",
        )
    variables = subject.expected.variables(twin, called=True)
    held = compare_trees(
        variables, variables_of(layer), bitwise=True, path="variables built by several threads"
    )
    rngs = subject.expected.keys(twin, training=False)
    outputs, _ = subject.oracle.apply(variables, rngs, training=False)
    path = "outputs in a thread"
    return largest(held, *(compare_runs(subject, outputs, one, path=path) for one in found))


def _at_once(call: Callable[[], Any]) -> list[Any]:
    results, errors = call_at_once(call, threads=COUNT)
    if errors:
        raise KeepLawError(
            "A layer cannot be called by several threads from its first call on.",
            expected=f"{COUNT} calls that give their outputs",
            found="; ".join(f"{type(error).__name__}: {error}" for error in errors),
            law="A8",
        ) from errors[0]
    return results
