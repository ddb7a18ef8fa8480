"""What a check may need of its subject; where it is missing, the check is skipped (T2).

There is no other reason to skip one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from enum import Enum

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.variants import COMPUTE, mask_of
from flaxlayer_testing.subject.subject import Subject

__all__ = ["MODEL", "TRAINING", "Need"]


def _runs_with_mask(subject: Subject) -> bool:
    mask, oracle = mask_of(subject), subject.oracle
    return mask is not None and oracle.accepts(oracle.raw.with_mask(mask))


class Need(Enum):
    """What a check may need: why it is skipped where that is missing, and the test.

    Raw Flax alone answers. What the test itself raises is no reason to skip.
    """

    PARAMS = (
        "the module has no params",
        lambda subject: any(map(subject.oracle.stored.get, subject.oracle.raw.trainable)),
    )
    OWN_VALUES = (
        "the module is no object with values of its own",
        lambda subject: subject.oracle.raw.holds_values,
    )
    VARIABLES = (
        "the module has no variables",
        lambda subject: bool(subject.oracle.stored),
    )
    LINEN = (
        "the module is one of nnx, whose calls Flax does not intercept",
        lambda subject: subject.oracle.raw.intercepted,
    )
    STATE = (
        "the module has no state",
        lambda subject: bool(subject.oracle.state_collections),
    )
    STREAMS = (
        "the module draws no random numbers in training",
        lambda subject: subject.oracle.needs_rng(training=True),
    )
    QUIET_MODE = (
        "the module draws random numbers in both modes",
        lambda subject: not subject.oracle.needs_rng(training=False),
    )
    ARRAY_INPUTS = (
        "the arguments hold no arrays, or one without a batch dimension",
        lambda subject: subject.takes_arrays,
    )
    ANY_BATCH = (
        "the module does not take a batch of another size",
        lambda subject: subject.oracle.takes_any_batch,
    )
    UNKNOWN_SIZES = (
        "no generated case with sizes that may be unknown",
        lambda subject: bool(subject.grown_inputs),
    )
    SEQUENTIAL = (
        "the arguments are not one array that Keras leaves as it is, or the outputs no arrays",
        lambda subject: subject.fits_sequential,
    )
    STILL = (
        "a call at inference changes state or draws random numbers",
        lambda subject: (
            subject.oracle.state_collections <= subject.oracle.denied
            and not subject.oracle.needs_rng(training=False)
        ),
    )
    ONE_ARRAY = (
        "the arguments are not one array, or the outputs no arrays",
        lambda subject: subject.fits_unbuilt,
    )
    NO_MASK = (
        "the method takes a mask, or its first input has no two dimensions",
        lambda subject: mask_of(subject) is not None and not subject.oracle.raw.takes_mask,
    )
    SOWN = (
        "the module sows nothing in training",
        lambda subject: bool(subject.oracle.sows),
    )
    MASK = (
        "the first input has no two dimensions, or the method does not run with a mask of them",
        _runs_with_mask,
    )
    MASK_ARGUMENT = (
        "the method has no argument for a mask of the first two dimensions of its first input",
        lambda subject: subject.oracle.raw.takes_mask and _runs_with_mask(subject),
    )
    CASTS = (
        "raw Flax does not run it in bfloat16, or its state changes its dtype then",
        lambda subject: subject.oracle.bears_dtype(COMPUTE),
    )
    TRACEABLE = (
        "JAX cannot trace the module",
        lambda subject: subject.oracle.traceable,
    )
    GRADIENTS = (
        "JAX has no gradients of an operation of the module",
        lambda subject: subject.oracle.differentiable,
    )
    TENSORFLOW = (
        "TensorFlow is not installed: pip install 'flaxlayer[tensorflow]'",
        lambda subject: importlib.util.find_spec("tensorflow") is not None,
    )
    EXPORTS = (
        "a backend that traces no model exports none",
        lambda subject: current_backend().traces_models,
    )
    CLOSED_SIGNATURE = (
        "the method takes any keyword",
        lambda subject: not subject.oracle.raw.takes_any_keyword,
    )
    REFUSED_SHAPES = (
        "raw Flax accepts inputs of another shape, too",
        lambda subject: subject.oracle.refuses_shapes,
    )

    def __init__(self, reason: str, holds: Callable[[Subject], bool]) -> None:
        self.reason, self.holds = reason, holds

    def __repr__(self) -> str:
        return f"Need.{self.name}"


MODEL = (Need.TRACEABLE, Need.ARRAY_INPUTS)
"""What a check needs that makes a model of the layer alone."""

TRAINING = (*MODEL, Need.PARAMS, Need.GRADIENTS)
"""What a check needs that trains such a model."""
