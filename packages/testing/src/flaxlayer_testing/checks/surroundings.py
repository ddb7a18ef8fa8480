"""Checks of a layer behind a masked input and in a model that is not built (§5)."""

from __future__ import annotations

from typing import Any

import keras

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.calls import run_raw
from flaxlayer_testing.checks.needs import MODEL, Need
from flaxlayer_testing.checks.registry import Errors, check
from flaxlayer_testing.checks.variants import mask_of
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.keras_parts import GivesMask, SeesMask
from flaxlayer_testing.subject.layer import arrays_of
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = ["check_masked_input", "check_unbuilt_sequential"]


@check("A4", needs=(Need.NO_MASK,))
def check_masked_input(subject: Subject) -> Errors:
    """A mask changes nothing for a module without one, and stays with its dimensions."""
    layer, mask = subject.shared_layer(), mask_of(subject)
    expected, _ = run_raw(subject, layer, training=False)
    raw = subject.oracle.raw
    (first, *rest), kwargs = current_backend().to_backend((raw.inputs, dict(raw.arguments)))
    actual = layer(GivesMask(mask)(first), *rest, training=False, **kwargs)
    for output in arrays_of(actual):
        _refuse_foreign_mask(output, mask)
    return compare_runs(subject, expected, actual, path="outputs of a masked input")


def _refuse_foreign_mask(output: Any, mask: Any) -> None:
    after = SeesMask()
    after(output)
    if after.seen is not None and tuple(output.shape[:2]) != mask.shape:
        raise KeepLawError(
            "An output has the mask of an input whose dimensions it does not keep.",
            expected=f"no mask on an output of shape {tuple(output.shape)}",
            found=f"the mask of shape {mask.shape}",
            law="A4",
        )


@check("A10", needs=(*MODEL, Need.ONE_ARRAY))
def check_unbuilt_sequential(subject: Subject) -> Errors:
    """A `keras.Sequential` that is not built shows the module its inputs as they are."""
    layer, twin = subject.new_layer(), subject.shared_layer()
    model = keras.Sequential([layer])
    variables, rngs = subject.expected.variables(twin), subject.expected.keys(twin, training=False)
    expected, _ = subject.oracle.apply(variables, rngs, training=False)
    (array,) = current_backend().to_backend(subject.arrays)
    actual = arrays_of(model(array, training=False))
    return compare_runs(
        subject,
        arrays_of(expected),
        actual,
        path="outputs of an unbuilt sequential model",
        inlined=True,
    )
