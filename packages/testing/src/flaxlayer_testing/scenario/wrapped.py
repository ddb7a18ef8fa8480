"""Surroundings with native layers before, around and behind the layer under test (A4, A11)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.scenario.held import Held, Site, mode_of, of_one, takes_one
from flaxlayer_testing.subject.keras_parts import AddsLoss, GivesMask, Holder, SeesMask
from flaxlayer_testing.subject.layer import arrays_of

__all__ = [
    "behind_mask",
    "carried_masks",
    "fits_mask",
    "fits_time",
    "gives_mask",
    "loss_behind",
    "numpy_mask",
    "over_time",
    "steps_of",
    "time_distributed",
]


# Behind a mask.


def _mask_for(array: Any) -> Any:
    first = array[(slice(None), slice(None), *([0] * (len(array.shape) - 2)))]
    kept = np.arange(array.shape[1]) % 3 != 1
    return keras.ops.logical_and(keras.ops.ones_like(first, dtype="bool"), kept)


def numpy_mask(array: Any) -> np.ndarray[Any, Any]:
    """Returns the mask of an array behind a mask, as raw Flax takes it: a third is masked."""
    kept = np.arange(array.shape[1]) % 3 != 1
    return np.broadcast_to(kept, array.shape[:2])


def gives_mask() -> GivesMask:
    """Returns a layer that gives its input a mask: that of `numpy_mask`."""
    return GivesMask(_mask_for)


def behind_mask(layer: Any, site: Site) -> Held:
    """Puts a layer behind one that gives its first input a mask."""
    gives = gives_mask()
    masks: list[Any] = []

    def run(args: tuple[Any, ...], kwargs: Mapping[str, Any], training: bool | None) -> Any:
        first, *rest = args
        outputs = layer(gives(first), *rest, **mode_of(training), **kwargs)
        masks[:] = [_mask_of(array) for array in arrays_of(outputs)]
        return outputs

    return Held(layer, layer, run, flat=False, varies=True, masks=masks)


def _mask_of(array: Any) -> Any:
    after = SeesMask()
    after(array)
    return after.seen


# Twice as many rows and steps as no dimension of a module has by chance; not all take more rows.
_FACTORS = (((13, 17), (11, 19)), ((1, 1), (11, 19)))

Tied = Callable[[Any], bool]
"""Tells which further arrays are as long as the first input: none if the module takes that."""

_TIED: tuple[Tied, ...] = (lambda leaf: False, lambda leaf: leaf.dtype == bool, lambda leaf: True)


def fits_mask(oracle: Oracle) -> bool:
    """Tells whether a module takes a mask of `[batch, time]` of its first input (A4).

    What is found where the dimensions are all different counts: an argument `mask` that changes the
    shape of an output there is not of the first input.
    """
    raw = oracle.raw
    first: Any = raw.inputs[0] if raw.inputs else None
    if not hasattr(first, "dtype") or first.ndim < 2:
        return False
    if not raw.takes_mask:
        return True
    plain = raw.with_mask(None)
    grown = (
        _grown(plain, rows[0], steps[0], tied=tied)
        for (rows, steps), tied in itertools.product(_FACTORS, _TIED)
        if oracle.traceable
    )
    for call in itertools.chain(grown, [plain]):
        shapes = oracle.output_shapes(call)
        if shapes is not None:
            return oracle.output_shapes(call.with_mask(numpy_mask(call.inputs[0]))) == shapes
    return oracle.accepts(raw.with_mask(numpy_mask(first)))


def carried_masks(oracle: Oracle, raw: RawCall) -> list[bool] | None:
    """Tells which outputs keep the dimensions of the mask of the first input (A4).

    Args:
        oracle: A module.
        raw: A call of it, as the module sees it: with the mask, if it gets that.

    Returns:
        For each array of the outputs whether its first dimensions are the batch and the time of
        the first input, whatever their sizes; None where the module takes no other sizes.
    """
    if not oracle.traceable:
        return None
    for factors in itertools.product(_FACTORS, _TIED):
        (rows, steps), tied = factors
        found = [_keeps(oracle, raw, *pair, tied=tied) for pair in zip(rows, steps, strict=True)]
        if None not in found:
            return [all(kept) for kept in zip(*(kept or () for kept in found), strict=True)]
    return None


def _keeps(oracle: Oracle, raw: RawCall, rows: int, steps: int, *, tied: Tied) -> list[bool] | None:
    """Tells which outputs have the dimensions of the first input where that has more of them."""
    call = _grown(raw, rows, steps, tied=tied)
    shapes = oracle.output_shapes(call)
    return None if shapes is None else [s[:2] == call.inputs[0].shape[:2] for s in shapes]


def _grown(raw: RawCall, rows: int, steps: int, *, tied: Tied) -> RawCall:
    """Returns a call with more rows, and with more steps of its first input and what is tied."""
    batch, time = raw.arrays[0].shape[:2]

    def grow(number: int, leaf: Any) -> Any:
        if leaf.ndim and leaf.shape[0] == batch:
            leaf = jnp.repeat(leaf, rows, axis=0)
        if number == 0 or (leaf.ndim > 1 and leaf.shape[1] == time and tied(leaf)):
            leaf = jnp.repeat(leaf, steps, axis=1)
        return leaf

    masked = raw.takes_mask and raw.arguments.get("mask") is not None
    raw = raw.with_mask(None) if masked else raw
    args, kwargs = raw.merge([grow(*pair) for pair in enumerate(raw.arrays)])
    call = replace(raw, inputs=args, arguments=kwargs)
    return call.with_mask(numpy_mask(args[0])) if masked else call


# Over time.


def time_distributed(layer: Any, site: Site) -> Held:
    """Puts a layer into `TimeDistributed`, which calls it on each of two steps."""
    around = keras.layers.TimeDistributed(layer, autocast=False)

    def run(args: tuple[Any, ...], kwargs: Mapping[str, Any], training: bool | None) -> Any:
        (array,) = args
        both = keras.ops.stack([array, keras.ops.flip(array, axis=0)], axis=1)
        return arrays_of(around(both, **mode_of(training)))

    return replace(of_one(layer, around), run=run)


def steps_of(raw: RawCall) -> tuple[RawCall, ...]:
    """Returns the calls of the two steps: of an array, and of its rows from the last to the first.

    Args:
        raw: A call on one array.
    """
    (array,) = raw.inputs
    return raw, replace(raw, inputs=(array[::-1],))


def over_time(outputs: Sequence[Any]) -> Any:
    """Returns what `TimeDistributed` makes of the outputs of both steps."""
    return jnp.stack(outputs, axis=1)


def fits_time(oracle: Oracle) -> bool:
    """Tells whether a module takes and gives one array with a batch, as `TimeDistributed` wants."""
    if not takes_one(oracle) or oracle.array_outputs is not True or oracle.raw.arrays[0].ndim < 2:
        return False
    (shape,) = oracle.output_shapes(oracle.raw) or ((),)
    return shape != ()


# A loss behind.


class LossBehind(Holder):
    """A model of a layer, and of one behind it that adds a loss of its outputs."""

    def __init__(self, layer: Any, raw: RawCall) -> None:
        super().__init__(layer, raw)
        self.behind = AddsLoss()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.behind(super().call(inputs, training))


def loss_behind(layer: Any, site: Site) -> Held:
    """Puts a layer before one that adds a loss."""
    model = LossBehind(layer, site.oracle.raw)

    def run(args: tuple[Any, ...], kwargs: Mapping[str, Any], training: bool | None) -> Any:
        return arrays_of(model(arrays_of((args, dict(kwargs))), **mode_of(training)))

    return Held(layer, model, run)
