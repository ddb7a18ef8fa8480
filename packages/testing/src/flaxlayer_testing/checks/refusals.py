"""Checks of bad input: an explained error, and nothing changed (§11)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from flaxlayer_core import FlaxLayerError
from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.needs import MODEL, Need
from flaxlayer_testing.checks.registry import Errors, check
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.layer import Snapshot, variables_of
from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "check_wrong_arguments",
    "check_wrong_config",
    "check_wrong_method",
    "check_wrong_shapes",
    "check_wrong_variables",
]

_NAME = re.compile(r"[\w.]+[:>][\w.]+")  # package.module:Class, or what is registered


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


@check("A2", needs=(Need.CLOSED_SIGNATURE,))
def check_wrong_arguments(subject: Subject) -> Errors:
    """A keyword that the method does not take is an explained error."""
    layer = subject.shared_layer()
    given = {**subject.arguments, "no_such_argument": np.ones(1)}
    args, kwargs = current_backend().to_backend((subject.inputs, given))

    def act() -> None:
        layer(*args, **kwargs)

    return _refused(layer, "an unknown argument", act, "A2")


@check("A1", needs=(*MODEL, Need.REFUSED_SHAPES))
def check_wrong_shapes(subject: Subject) -> Errors:
    """Inputs that raw Flax refuses for their shape are an explained error."""
    layer, wrong = subject.shared_layer(), subject.reference.widened_inputs
    args, kwargs = current_backend().to_backend((wrong, dict(subject.arguments)))

    def act() -> None:
        layer(*args, training=True, **kwargs)

    return _refused(layer, "inputs of a wrong shape", act, "A1")


@check("B4", "W2", needs=(Need.VARIABLES,))
def check_wrong_variables(subject: Subject) -> Errors:
    """Variables at an unknown path, or of a wrong shape, are refused as a whole."""
    layer = subject.shared_layer()
    tree = variables_of(layer)
    unknown = {**tree, "params": {**tree.get("params", {}), "no_such_variable": np.ones(2)}}
    misshapen = jax.tree_util.tree_map(lambda leaf: np.ones((*np.shape(leaf), 7)), tree)
    _refused(layer, "an unknown variable", lambda: layer.load_flax_variables(unknown), "W2")
    return _refused(
        layer, "a misshapen variable", lambda: layer.load_flax_variables(misshapen), "W2"
    )


@check("A3")
def check_wrong_method(subject: Subject) -> Errors:
    """A method that the module does not have, or that is not public, is refused."""
    layer = subject.shared_layer()
    for name in ("no_such_method", "_private", "__init__", "apply"):
        errors = _refused(layer, f"the method {name}", partial(layer.method, name), "A3")
    return errors


@check("S2")
def check_wrong_config(subject: Subject) -> Errors:
    """A configuration that names a function in place of the module's class is refused."""
    layer = subject.shared_layer()
    config = json.loads(json.dumps(layer.get_config()))
    foreign = {**config, "module": _renamed(config["module"])}
    act = partial(type(layer).from_config, foreign)
    return _refused(layer, "a foreign name in a configuration", act, "S2")


def _renamed(stored: Any) -> Any:
    """Returns a stored module with the name of `os.system` for every name that it holds."""
    if isinstance(stored, list):
        return [_renamed(part) for part in stored]
    if isinstance(stored, dict):
        return {key: _renamed(part) for key, part in stored.items()}
    named = isinstance(stored, str) and _NAME.fullmatch(stored)
    return "os:system" if named else stored
