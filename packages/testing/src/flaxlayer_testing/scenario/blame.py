"""Whose failure an error is: that of the layer under test, or of the harness itself (T9)."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import keras

from flaxlayer_testing.errors import KeepLawError, ParityError, RunScenarioError, in_short
from flaxlayer_testing.oracle.call import is_of_module
from flaxlayer_testing.subject.layer import LayerFactory

__all__ = [
    "cause_of",
    "failure_of",
    "is_of_harness",
    "refuse_own",
    "whole_tracebacks",
    "without_words_of_keras",
]

_UNDER_TEST = frozenset({"flaxlayer", "flaxlayer_core", "keras"})
_HARNESS = "flaxlayer_testing"
_FILTER = "jax_traceback_filtering"
# Here stand the lines of generated modules, which the layer runs as raw Flax does.
_MODULES = ("flaxlayer_testing.render", "flaxlayer_testing.spec")


@contextmanager
def whole_tracebacks() -> Iterator[None]:
    """Leaves every frame in tracebacks, also those that Keras and JAX take out: theirs, Flax's."""
    filters = keras.config.is_traceback_filtering_enabled()
    of_jax = getattr(jax.config, _FILTER)
    keras.config.disable_traceback_filtering()
    jax.config.update(_FILTER, "off")
    try:
        yield
    finally:
        jax.config.update(_FILTER, of_jax)
        if filters:
            keras.config.enable_traceback_filtering()


def cause_of(error: Exception) -> Exception | None:
    """Returns what a step ended with, None where it says itself which law is broken."""
    if not isinstance(error, KeepLawError | ParityError):
        return error
    return error.__cause__ if isinstance(error.__cause__, Exception) else None


def is_of_harness(error: Exception, layer: LayerFactory) -> bool:
    """Tells whether the harness failed by itself: the layer under test did not raise.

    Args:
        error: What a step ended with, with its whole traceback.
        layer: Makes the layer under test.

    Returns:
        Whether the innermost frame that is the layer's, Keras's or the harness's is one of the
        harness, or raw Flax does not run the module that was drawn.
    """
    if is_of_module(error):
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    homes = [str(frame.f_globals.get("__name__", "")) for frame in frames]
    for home, caller in zip(reversed(homes), [*reversed(homes[:-1]), ""], strict=True):
        package = home.partition(".")[0]
        if package in _UNDER_TEST or home == getattr(layer, "__module__", ""):
            return False
        # What Flax calls itself, as an interceptor, stands around the module.
        inside = home.startswith(_MODULES) or caller.partition(".")[0] == "flax"
        if package == _HARNESS and not inside:
            return True
    return False


def refuse_own(error: Exception, layer: LayerFactory, where: str) -> None:
    """Raises where an error is one of the harness.

    Args:
        error: What a step ended with, with its whole traceback.
        layer: Makes the layer under test.
        where: The step.

    Raises:
        RunScenarioError: If it is.
    """
    if is_of_harness(error, layer):
        raise RunScenarioError(
            f"{where}: the harness fails, not the layer.",
            expected="a comparison of the layer with the laws",
            found=in_short(error),
            fix="Report it with the scenario. With a layer of your own, see first whether it gives "
            "what a layer has to give there.",
            law="T9",
        ) from error


@contextmanager
def without_words_of_keras() -> Iterator[None]:
    """Silences what Keras says of files that do not fit, and of models without trainable weights.

    A step does such things on purpose; where warnings are errors they would end it.

    Yields:
        Nothing.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"keras\.")
        yield


def failure_of(act: Callable[[], Any]) -> Exception | None:
    """Returns what an action ends with, with its whole traceback; None where it succeeds."""
    with whole_tracebacks():
        try:
            act()
        except Exception as error:  # whatever is raised is what is asked for
            return error
    return None
