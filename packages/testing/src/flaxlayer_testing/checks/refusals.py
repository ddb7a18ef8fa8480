"""Checks of bad input: an explained error, and nothing changed (§11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from flaxlayer_core import FlaxLayerError
from flaxlayer_testing.checks.base import Errors
from flaxlayer_testing.compare import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject import Subject
from flaxlayer_testing.under_test import Snapshot, variables_of

__all__ = ["check_wrong_arguments", "check_wrong_shapes", "check_wrong_variables"]


def _refused(layer: Any, what: str, act: Callable[[], Any], law: str) -> Errors:
    before = Snapshot(layer)
    try:
        act()
    except FlaxLayerError:
        path = f"variables after {what}"
        return compare_trees(before.tree(), Snapshot(layer).tree(), bitwise=True, path=path)
    except Exception as error:
        found = f"{type(error).__name__}: {error}".splitlines()[0]
        raise _unexplained(what, found, law) from error
    raise _unexplained(what, "no error", law)


def _unexplained(what: str, found: str, law: str) -> KeepLawError:
    return KeepLawError(
        f"A layer does not explain {what}.",
        expected="a FlaxLayerError that says what to do",
        found=found,
        law=law,
    )


def check_wrong_arguments(subject: Subject) -> Errors:
    """A keyword that the method does not take is an explained error (A2)."""
    layer = subject.shared_layer()

    def act() -> None:
        layer(*subject.inputs, no_such_argument=np.ones(1), **subject.arguments)

    return _refused(layer, "an unknown argument", act, "A2")


def check_wrong_shapes(subject: Subject) -> Errors:
    """Inputs that raw Flax refuses for their shape are an explained error (A1)."""
    layer, wrong = subject.shared_layer(), subject.reference.widened_inputs
    return _refused(layer, "inputs of a wrong shape", lambda: layer(*wrong, training=True), "A1")


def check_wrong_variables(subject: Subject) -> Errors:
    """Variables at an unknown path, or of a wrong shape, are refused as a whole (B4, W2)."""
    layer = subject.shared_layer()
    tree = variables_of(layer)
    unknown = {**tree, "params": {**tree.get("params", {}), "no_such_variable": np.ones(2)}}
    misshapen = jax.tree_util.tree_map(lambda leaf: np.ones((*np.shape(leaf), 7)), tree)
    _refused(layer, "an unknown variable", lambda: layer.load_flax_variables(unknown), "W2")
    return _refused(
        layer, "a misshapen variable", lambda: layer.load_flax_variables(misshapen), "W2"
    )
