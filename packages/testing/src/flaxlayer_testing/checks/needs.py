"""What a check may need of its subject; where it is missing, the check is skipped (T2)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import replace

from flaxlayer_testing.checks.variants import cast_arrays, cast_params, mask_of
from flaxlayer_testing.subject.subject import Subject

__all__ = ["NEEDS"]


def _takes_mask(subject: Subject) -> bool:
    mask, reference = mask_of(subject), subject.reference
    return mask is not None and reference.accepts(reference.raw.with_mask(mask))


def _bears_casts(subject: Subject) -> bool:
    reference = subject.reference
    args, kwargs = reference.raw.merge(cast_arrays(reference.raw.arrays))
    cast = replace(reference.raw, inputs=args, arguments=kwargs)
    return reference.accepts(cast, variables=cast_params(reference.stored, reference.raw.trainable))


def _keeps_state_at_build(subject: Subject) -> bool:
    reference = subject.reference
    return reference.traceable or reference.state_collections <= reference.denied


NEEDS: Mapping[str, tuple[str, Callable[[Subject], bool]]] = {
    "params": (
        "the module has no params",
        lambda subject: any(map(subject.reference.stored.get, subject.reference.raw.trainable)),
    ),
    "own_values": (
        "the module is no object with values of its own",
        lambda subject: subject.reference.raw.holds_values,
    ),
    "variables": (
        "the module has no variables",
        lambda subject: bool(subject.reference.stored),
    ),
    "state": (
        "the module has no state",
        lambda subject: bool(subject.reference.state_collections),
    ),
    "streams": (
        "the module draws no random numbers in training",
        lambda subject: subject.reference.needs_rng(training=True),
    ),
    "quiet_mode": (
        "the module draws random numbers in both modes",
        lambda subject: not subject.reference.needs_rng(training=False),
    ),
    "array_inputs": (
        "the arguments hold no arrays, or one without a batch dimension",
        lambda subject: subject.takes_arrays,
    ),
    "unknown_sizes": (
        "no generated case with sizes that may be unknown",
        lambda subject: bool(subject.grown_inputs),
    ),
    "sequential": (
        "the arguments are not one array that Keras leaves as it is, or the outputs no arrays",
        lambda subject: subject.fits_sequential,
    ),
    "still": (
        "a call at inference changes state or draws random numbers",
        lambda subject: (
            subject.reference.state_collections <= subject.reference.denied
            and not subject.reference.needs_rng(training=False)
        ),
    ),
    "one_array": (
        "the arguments are not one array, or the outputs no arrays",
        lambda subject: subject.fits_unbuilt,
    ),
    "no_mask": (
        "the method takes a mask, or its first input has no two dimensions",
        lambda subject: mask_of(subject) is not None and not subject.reference.raw.takes_mask,
    ),
    "sown": (
        "the module sows nothing in training",
        lambda subject: bool(subject.reference.sows),
    ),
    "mask": (
        "the method does not take a mask of the first two dimensions of its first input",
        _takes_mask,
    ),
    "casts": (
        "raw Flax does not run it in bfloat16, or its state changes its dtype then",
        _bears_casts,
    ),
    "traceable": (
        "JAX cannot trace the module",
        lambda subject: subject.reference.traceable,
    ),
    "kept_by_build": (
        "the module cannot be traced, and a call that builds it changes its state",
        _keeps_state_at_build,
    ),
    "tensorflow": (
        "TensorFlow is not installed: pip install 'flaxlayer[tensorflow]'",
        lambda subject: importlib.util.find_spec("tensorflow") is not None,
    ),
    "closed_signature": (
        "the method takes any keyword",
        lambda subject: not subject.reference.raw.takes_any_keyword,
    ),
    "refused_shapes": (
        "raw Flax accepts inputs of another shape, too",
        lambda subject: subject.reference.refuses_shapes,
    ),
}
"""What a check may need of its subject: why it is skipped, and the test."""
