"""Checks of random numbers: streams, keys, seeds (§4)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax.errors import InvalidRngError

from flaxlayer_testing.checks.calls import run_raw
from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.oracle.variable_trees import arrays_only
from flaxlayer_testing.subject.layer import call_rngs, seed_state, variables_of
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = ["check_fresh_keys", "check_no_draw", "check_seed", "check_streams", "refuse_equal_keys"]


def _jaxpr(subject: Subject, rngs: Mapping[str, Any], *, training: bool) -> str | None:
    function = subject.reference.function(training=training)
    try:
        jaxpr = jax.make_jaxpr(lambda v, a: arrays_only(function(v, rngs, a)))(
            subject.reference.stored, subject.reference.raw.arrays
        )
    except InvalidRngError:
        return None
    return str(jaxpr)


@check("R1", needs=(Need.TRACEABLE,))
def check_streams(subject: Subject) -> None:
    """In each mode the module gets the streams that it draws from, and no others."""
    layer = subject.shared_layer()
    for training in (True, False):
        rngs = call_rngs(layer, training=training)
        drawn = subject.reference.drawn_streams(training=training)
        if drawn is not None:
            _compare_streams(training, rngs, drawn)
            continue
        whole = _jaxpr(subject, rngs, training=training)
        for name in rngs:
            less = {other: key for other, key in rngs.items() if other != name}
            if _jaxpr(subject, less, training=training) == whole:
                _refuse_streams(training, rngs, f"{name!r}, which the module never draws from")
        if whole is None:
            _refuse_streams(training, rngs, "too few for the module")


def _compare_streams(training: bool, rngs: Mapping[str, Any], drawn: frozenset[str]) -> None:
    for name in sorted(set(rngs) - drawn):
        _refuse_streams(training, rngs, f"{name!r}, which the module never draws from")
    if drawn - set(rngs):
        _refuse_streams(training, rngs, f"not {sorted(drawn - set(rngs))}")


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
    """Two training calls draw different keys, and each call uses its own."""
    layer, errors, seen = subject.shared_layer(), [], []
    for step in ("first", "second"):
        seen.append(call_rngs(layer, training=True))
        expected, _ = run_raw(subject, layer, training=True)
        actual = subject.call(layer, training=True)
        path = f"outputs of the {step} call with its keys"
        errors.append(compare_runs(subject, expected, actual, path=path))
    refuse_equal_keys(seen)
    return largest(*errors)


def refuse_equal_keys(calls: Sequence[Mapping[str, Any]]) -> None:
    """Raises if two calls in a row drew the same key for a stream (R2).

    Args:
        calls: The keys of each call, by stream.

    Raises:
        KeepLawError: If two are equal.
    """
    for first, second in itertools.pairwise(calls):
        for name in first:
            if (_bits(first[name]) == _bits(second[name])).all():
                raise KeepLawError(
                    "Two training calls draw the same key.",
                    expected=f"another key for the stream {name!r} in the second call",
                    found=f"{_bits(first[name]).tolist()} twice",
                    law="R2",
                )


def _bits(key: Any) -> np.ndarray[Any, Any]:
    return np.asarray(jax.random.key_data(key))


@check("R4", needs=(Need.QUIET_MODE,))
def check_no_draw(subject: Subject) -> None:
    """A call that needs no stream leaves the seed alone, and so does a peek."""
    layer = subject.shared_layer()
    before = seed_state(layer)
    call_rngs(layer, training=True)
    subject.call(layer, training=False)
    after = seed_state(layer)
    if (before != after).any():
        raise KeepLawError(
            "A call that needs no random numbers drew a seed.",
            expected=f"the seed state {before.tolist()}",
            found=f"{after.tolist()}",
            law="R4",
        )


@check("R3")
def check_seed(subject: Subject) -> Errors:
    """Layers of one seed start alike and draw the same keys; another seed gives others."""
    first, second = subject.shared_layer(), subject.built_layer()
    other = subject.built_layer(seed=subject.seed + 1)
    errors = compare_trees(
        variables_of(first), variables_of(second), bitwise=True, path="variables of equal seeds"
    )
    keys = [call_rngs(layer, training=True) for layer in (first, second, other)]
    compare_trees(keys[0], keys[1], bitwise=True, path="keys of equal seeds")
    for name in keys[0]:
        if (_bits(keys[0][name]) == _bits(keys[2][name])).all():
            raise KeepLawError(
                "Layers of different seeds draw the same key.",
                expected=f"another key for the stream {name!r} with seed {subject.seed + 1}",
                found=f"the key of seed {subject.seed}",
                law="R3",
            )
    return errors
