"""Checks of random numbers: streams, keys, seeds (§4)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import jax
import keras
import numpy as np

from flaxlayer_testing.checks.calls import run_raw
from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.oracle.keys import seed_at
from flaxlayer_testing.subject.layer import peeked_keys, seed_state, stored_value, variables_of
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "check_fresh_keys",
    "check_no_draw",
    "check_seed",
    "check_seed_steps",
    "check_streams",
    "refuse_other_keys",
]


@check("R1")
def check_streams(subject: Subject) -> None:
    """In each mode the module gets the streams that it draws from, and no others."""
    layer = subject.shared_layer()
    for training in (True, False):
        found = peeked_keys(layer, training=training)
        drawn = subject.oracle.drawn_streams(training=training)
        for name in sorted(set(found) - drawn):
            _refuse_streams(training, found, f"{name!r}, which the module never draws from")
        if drawn - set(found):
            _refuse_streams(training, found, f"not {sorted(drawn - set(found))}")


def _refuse_streams(training: bool, rngs: Mapping[str, Any], found: str) -> None:
    raise KeepLawError(
        f"The streams in {'training' if training else 'inference'} are not those that the module "
        "draws from.",
        expected="exactly the streams that the module draws from",
        found=f"streams {sorted(rngs)}: {found}",
        law="R1",
    )


@check("R2", "R4", needs=(Need.STREAMS,))
def check_fresh_keys(subject: Subject) -> Errors:
    """Each training call has the keys of its own seed, which the layer tells before."""
    layer, errors = subject.shared_layer(), []
    for draws, step in enumerate(("first", "second")):
        keys = subject.expected.keys(layer, training=True, draws=draws)
        found = peeked_keys(layer, training=True)
        refuse_other_keys(keys, found, f"The {step} training call")
        expected, _ = run_raw(subject, layer, training=True, draws=draws)
        actual = subject.call(layer, training=True)
        path = f"outputs of the {step} call with its keys"
        errors.append(compare_runs(subject, expected, actual, path=path))
    return largest(*errors)


def refuse_other_keys(expected: Mapping[str, Any], found: Mapping[str, Any], what: str) -> None:
    """Raises if the keys of a call are not those of its seed (R2).

    Args:
        expected: The keys of the seed, by stream.
        found: The keys that the layer says it will use.
        what: The call, for the message.

    Raises:
        KeepLawError: If streams or keys differ.
    """
    wanted, used = ({name: _bits(key) for name, key in keys.items()} for keys in (expected, found))
    if wanted != used:
        raise KeepLawError(
            f"{what} does not use the keys of its seed.",
            expected=str(wanted),
            found=str(used),
            law="R2",
        )


def _bits(key: Any) -> list[int]:
    bits: list[int] = np.asarray(jax.random.key_data(key)).tolist()
    return bits


@check("R2", "R4", needs=(Need.STREAMS,))
def check_seed_steps(subject: Subject) -> None:
    """Each call that needs random numbers draws one seed, and counts on by one."""
    layer = subject.shared_layer()
    for calls in range(3):
        drawn = subject.expected.build_draws() + calls
        expected, found = seed_at(subject.seed, drawn), seed_state(layer)
        if found.tolist() != expected.tolist():
            raise KeepLawError(
                "The seed of a layer does not count its draws.",
                expected=f"the seed state {expected.tolist()} after {calls} calls",
                found=f"{found.tolist()}",
                law="R2",
            )
        subject.call(layer, training=True)


@check("R4", needs=(Need.QUIET_MODE,))
def check_no_draw(subject: Subject) -> None:
    """A call that needs no stream leaves the seed alone, and so does a peek."""
    layer = subject.shared_layer()
    expected = seed_at(subject.seed, subject.expected.build_draws()).tolist()
    peeked_keys(layer, training=True)
    subject.call(layer, training=False)
    found = seed_state(layer).tolist()
    if found != expected:
        raise KeepLawError(
            "A call that needs no random numbers drew a seed.",
            expected=f"the seed state {expected}",
            found=str(found),
            law="R4",
        )


@check("R3")
def check_seed(subject: Subject) -> Errors:
    """A seed decides initial values and keys, another gives others; without one Keras's does."""
    errors = []
    for what, seed in (("equal seeds", subject.seed), ("another seed", subject.seed + 1)):
        layer = subject.built_layer(seed=seed)
        expected, path = subject.expected.variables(layer, seed=seed), f"variables of {what}"
        errors.append(compare_trees(expected, variables_of(layer), bitwise=True, path=path))
        keys = subject.expected.keys(layer, training=True, seed=seed)
        refuse_other_keys(keys, peeked_keys(layer, training=True), f"A call with seed {seed}")
    _compare_unseeded(subject)
    return largest(*errors)


def _compare_unseeded(subject: Subject) -> None:
    drawing = random.getstate()  # which `keras.utils.set_random_seed` sets
    native = stored_value(keras.random.SeedGenerator().state).tolist()
    random.setstate(drawing)
    found = seed_state(subject.unseeded_layer()).tolist()
    if found != native:
        raise KeepLawError(
            "A layer without a seed does not take the one that Keras gives.",
            expected=f"the seed state {native}, that of a native seed generator in its place",
            found=str(found),
            law="R3",
        )
