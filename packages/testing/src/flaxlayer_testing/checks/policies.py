"""Checks of dtype policies: what they cast at a call, and what they store (§5)."""

from __future__ import annotations

from typing import Any

from flaxlayer_testing.checks.build import refuse_other_types
from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.checks.variants import COMPUTE
from flaxlayer_testing.checks.weights import distinct
from flaxlayer_testing.oracle.call import Variables
from flaxlayer_testing.oracle.variable_trees import cast_floats, cast_params
from flaxlayer_testing.subject.keras_parts import global_policy
from flaxlayer_testing.subject.layer import variables_of
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = ["check_explicit_dtype", "check_mixed_policy"]


@check("A7", "C6", needs=(Need.TRACEABLE, Need.CASTS))
def check_mixed_policy(subject: Subject) -> Errors:
    """Under a global mixed policy a call casts inputs and params, and nothing else."""
    with global_policy(f"mixed_{COMPUTE}"):
        layer = subject.built_layer()
    refuse_other_types(subject.oracle.stored, layer, "A7")
    before = distinct(subject.expected.variables(layer))
    return _compare_casts(subject, layer, before, "under a mixed policy")


@check("A7", needs=(Need.TRACEABLE, Need.PARAMS, Need.CASTS))
def check_explicit_dtype(subject: Subject) -> Errors:
    """With `dtype=` floating params are stored and inputs cast in it, and state is left alone."""
    layer = subject.built_layer(dtype=COMPUTE)
    oracle = subject.oracle
    wanted = cast_params(oracle.stored, oracle.raw.trainable, COMPUTE)
    refuse_other_types(wanted, layer, "A7")
    before = distinct(subject.expected.variables(layer))
    stored = cast_params(before, oracle.raw.trainable, COMPUTE)
    return _compare_casts(subject, layer, stored, "with an explicit dtype")


def _compare_casts(subject: Subject, layer: Any, before: Variables, what: str) -> Errors:
    # Distinct, as initial state is often zeros and ones, which no cast changes.
    layer.load_flax_variables(before)
    function = subject.oracle.function(training=True)
    trainable = subject.oracle.raw.trainable
    raw = subject.oracle.compile(
        lambda v, k, a: function(cast_params(v, trainable, COMPUTE), k, cast_floats(a, COMPUTE))
    )
    outputs, updates = raw(before, subject.expected.keys(layer, training=True), subject.arrays)
    expected = subject.oracle.next_variables(before, updates)
    actual = subject.call(layer, training=True)
    return largest(
        compare_runs(subject, outputs, actual, path=f"outputs {what}", computed=(COMPUTE,)),
        compare_runs(
            subject,
            expected,
            variables_of(layer),
            path=f"variables {what}",
            computed=(COMPUTE,),
        ),
    )
