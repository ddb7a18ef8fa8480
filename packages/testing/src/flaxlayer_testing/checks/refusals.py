"""Checks of bad input: an explained error, and nothing changed (§11)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from flaxlayer_core import FlaxLayerError
from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.calls import run_raw
from flaxlayer_testing.checks.needs import MODEL, Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.records import LayerRecord
from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "Refusal",
    "check_wrong_arguments",
    "check_wrong_config",
    "check_wrong_method",
    "check_wrong_shapes",
    "refuse_half_done",
]

Refusal = type[Exception] | tuple[type[Exception], ...]
"""The errors that a layer may refuse with."""

_NAME = re.compile(r"[\w.]+[:>][\w.]+")  # package.module:Class, or what is registered


def refuse_half_done(
    layer: Any,
    what: str,
    act: Callable[[], Any],
    law: str,
    *,
    errors: Refusal = FlaxLayerError,
) -> Errors:
    """Raises if a layer takes what it must refuse, does not explain it, or changes by it.

    Args:
        layer: The layer.
        what: What is wrong.
        act: Gives it to the layer.
        law: The law that says so.
        errors: What it may raise.

    Returns:
        The largest error by dtype between the values before and after: zeros.

    Raises:
        KeepLawError: If there is no such error, or something else changed.
        ParityError: If a value changed.
    """
    before = LayerRecord.of(layer)
    try:
        act()
    except errors:
        return before.refuse_changes(layer, what, law)
    except Exception as error:
        found = f"{type(error).__name__}: {error}".splitlines()[0]
        raise KeepLawError(
            f"A layer does not explain {what}.",
            expected="a FlaxLayerError that says what to do",
            found=found,
            law=law,
        ) from error
    raise KeepLawError(
        f"A layer takes {what}.",
        expected="a FlaxLayerError that says what to do",
        found="no error",
        law=law,
    )


@check("A2", needs=(Need.CLOSED_SIGNATURE,))
def check_wrong_arguments(subject: Subject) -> Errors:
    """A keyword that the method does not take is an explained error, and changes nothing."""
    layer = subject.shared_layer()
    given = {**subject.arguments, "no_such_argument": np.ones(1)}
    args, kwargs = current_backend().to_backend((subject.inputs, given))
    act = partial(layer, *args, **kwargs)
    return refuse_half_done(layer, "an unknown argument", act, "A2")


@check("A1", needs=(*MODEL, Need.REFUSED_SHAPES))
def check_wrong_shapes(subject: Subject) -> Errors:
    """Inputs that raw Flax refuses for their shape are explained, and the layer is as it was."""
    layer, wrong = subject.shared_layer(), subject.oracle.widened_inputs
    args, kwargs = current_backend().to_backend((wrong, dict(subject.arguments)))
    act = partial(layer, *args, training=True, **kwargs)
    refused = refuse_half_done(layer, "inputs of a wrong shape", act, "A1")
    expected, _ = run_raw(subject, layer, training=True)
    actual = subject.call(layer, training=True)
    path = "outputs after inputs of a wrong shape"
    return largest(refused, compare_runs(subject, expected, actual, path=path))


@check("A3")
def check_wrong_method(subject: Subject) -> Errors:
    """A method that the module does not have, or that is not public, is refused."""
    layer = subject.shared_layer()
    for name in ("no_such_method", "_private", "__init__", "apply"):
        act = partial(layer.method, name)
        errors = refuse_half_done(layer, f"the method {name}", act, "A3")
    return errors


@check("S2")
def check_wrong_config(subject: Subject) -> Errors:
    """A configuration that names a function in place of the module's class is refused."""
    layer = subject.shared_layer()
    config = json.loads(json.dumps(layer.get_config()))
    foreign = {**config, "module": _renamed(config["module"])}
    act = partial(type(layer).from_config, foreign)
    return refuse_half_done(layer, "a foreign name in a configuration", act, "S2")


def _renamed(stored: Any) -> Any:
    """Returns a stored module with the name of `os.system` for every name that it holds."""
    if isinstance(stored, list):
        return [_renamed(part) for part in stored]
    if isinstance(stored, dict):
        return {key: _renamed(part) for key, part in stored.items()}
    named = isinstance(stored, str) and _NAME.fullmatch(stored)
    return "os:system" if named else stored
