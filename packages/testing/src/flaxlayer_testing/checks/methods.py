"""Checks of methods as layers of their own, on shared weights (§5, §7)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.checks.weights import distinct
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.layer import variables_of
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = ["check_bound_module", "check_method_variables", "check_methods"]


@check("A3")
def check_methods(subject: Subject) -> Errors:
    """`layer.method` gives a layer that runs the method on the same weights and state."""
    names = ("__call__", *subject.oracle.other_methods)
    pairs = itertools.product(names, (True, False))
    return largest(*(_compare_method(subject, name, training) for name, training in pairs))


def _compare_method(subject: Subject, name: str, training: bool) -> Errors:
    layer = subject.shared_layer()
    shared = _method_layer(subject, layer, name)
    _refuse_other_weights(layer, shared, name)
    oracle = subject.oracle.with_call(_with_method(subject.oracle.raw, name))
    before, drawn = variables_of(layer), subject.expected.build_draws()
    rngs = subject.expected.keys(shared, training=training, draws=drawn, oracle=oracle)
    outputs, updates = oracle.apply(before, rngs, training=training)
    expected = oracle.next_variables(before, updates)
    actual = subject.call(shared, training=training)
    path = f"of the method {name}"
    return largest(
        compare_runs(subject, outputs, actual, path=f"outputs {path}"),
        compare_runs(subject, expected, variables_of(layer), path=f"variables {path}"),
    )


def _with_method(raw: Any, name: str) -> Any:
    return raw if raw.method == name else replace(raw, method=name)


def _method_layer(subject: Subject, layer: Any, name: str) -> Any:
    settings = {} if subject.training_arg is None else {"training_arg": subject.training_arg}
    shared = layer.method(name, **settings)
    subject.build(shared)
    return shared


def _refuse_other_weights(layer: Any, shared: Any, name: str) -> None:
    own, found = ({id(v): v.path for v in part.weights} for part in (layer, shared))
    if own.keys() != found.keys():
        extra = [f"another {path}" for key, path in found.items() if key not in own]
        missing = [f"no {path}" for key, path in own.items() if key not in found]
        raise KeepLawError(
            f"The layer of the method {name!r} does not have the weights of its source.",
            expected=", ".join(own.values()) or "no weights",
            found=", ".join([*extra, *missing]),
            law="A3",
        )


@check("B4", "A3", needs=(Need.VARIABLES,))
def check_method_variables(subject: Subject) -> Errors:
    """A layer of one method takes the variables of the whole module, and keeps them."""
    names = subject.oracle.other_methods or ("__call__",)
    return largest(*(_compare_given(subject, name) for name in names))


def _compare_given(subject: Subject, name: str) -> Errors:
    given = distinct(subject.expected.variables(subject.shared_layer()))
    layer = subject.new_layer(method=name, variables=given)
    subject.build(layer)
    path = f"of the method {name} on given variables"
    held = compare_trees(given, variables_of(layer), bitwise=True, path=f"variables {path}")
    oracle = subject.oracle.with_call(_with_method(subject.oracle.raw, name))
    rngs = subject.expected.keys(layer, training=False, oracle=oracle)
    expected, _ = oracle.apply(given, rngs, training=False)
    actual = subject.call(layer, training=False)
    return largest(held, compare_runs(subject, expected, actual, path=f"outputs {path}"))


@check("W2")
def check_bound_module(subject: Subject) -> Errors:
    """`to_module` gives the module, bound to the current variables."""
    layer = subject.shared_layer()
    expected = distinct(subject.expected.variables(layer))
    layer.load_flax_variables(expected)
    raw, bound = subject.oracle.raw, layer.to_module()
    module, variables = raw.unbind(bound)
    if type(module) is not type(raw.target):
        raise KeepLawError(
            "The bound module is not the module that the layer was made of.",
            expected=type(raw.target).__name__,
            found=type(module).__name__,
            law="W2",
        )
    path = "variables of the bound module"
    held = compare_trees(expected, variables, bitwise=True, path=path)
    return largest(held, _compare_bound(subject, layer, module))


def _compare_bound(subject: Subject, layer: Any, module: Any) -> Errors:
    oracle = subject.oracle
    variables, rngs = variables_of(layer), subject.expected.keys(layer, training=False)
    expected, _ = oracle.apply(variables, rngs, training=False)
    # A module that is not equal, as one with another field, may hold the same variables.
    other = oracle.with_call(replace(oracle.raw, module=module))
    actual, _ = other.apply(variables, rngs, training=False)
    return compare_trees(expected, actual, bitwise=True, path="outputs of the bound module")
