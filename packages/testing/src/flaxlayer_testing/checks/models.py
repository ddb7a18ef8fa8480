"""Checks of a layer inside models: functional, sequential, subclassed, behind a mask (§5, §6)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import keras
import numpy as np

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.calls import run_raw
from flaxlayer_testing.checks.needs import MODEL, Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.checks.variants import mask_of, repeated
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.subject.keras_parts import GivesMask, Holder, SeesMask
from flaxlayer_testing.subject.layer import (
    arrays_of,
    as_inputs,
    call_model,
    variables_of,
)
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "check_functional_model",
    "check_masks",
    "check_other_batches",
    "check_sequential_model",
    "check_subclassed_model",
    "check_unknown_sizes",
]


@check("A5", "B1", needs=MODEL)
def check_functional_model(subject: Subject) -> Errors:
    """A functional model of the layer alone gives the layer's outputs."""
    layer = subject.shared_layer()
    model = subject.model(layer)
    expected, _ = run_raw(subject, layer, training=False)
    actual = call_model(model, subject.arrays)
    path = "outputs of a functional model"
    return compare_runs(subject, arrays_of(expected), actual, path=path)


@check("A1", "B1", needs=(*MODEL, Need.ANY_BATCH))
def check_other_batches(subject: Subject) -> Errors:
    """An eager call and a functional model take batches of other sizes than the first."""
    layer, oracle = subject.shared_layer(), subject.oracle
    model, errors = subject.model(layer), []
    for draws, times in ((0, 1), (2, 2), (4, 1)):
        inputs, arguments = repeated((subject.inputs, dict(subject.arguments)), times)
        sized = oracle.with_call(replace(oracle.raw, inputs=inputs, arguments=arguments))
        args, kwargs = current_backend().to_backend((inputs, arguments))
        calls = (
            partial(layer, *args, training=False, **kwargs),
            partial(call_model, model, sized.raw.arrays),
        )
        expected, actual = [], []
        for number, call in enumerate(calls):  # a call may change state
            expected.append(_expected(subject, layer, sized, draws + number))
            actual.append(arrays_of(call()))
        path = "outputs on batches of other sizes"
        errors.append(compare_runs(subject, expected, actual, path=path))
    return largest(*errors)


def _expected(subject: Subject, layer: Any, sized: Oracle, draws: int) -> Any:
    rngs = subject.expected.keys(layer, training=False, draws=draws)
    outputs, _ = sized.apply(variables_of(layer), rngs, training=False)
    return arrays_of(outputs)


@check("B1", needs=(*MODEL, Need.UNKNOWN_SIZES))
def check_unknown_sizes(subject: Subject) -> Errors:
    """A model of unknown sizes runs on inputs of other sizes as raw apply does."""
    layer, oracle = subject.new_layer(), subject.oracle
    grown = subject.grown_inputs
    model = subject.model(layer, grown)
    errors = []
    for draws, inputs in enumerate((subject.inputs, grown, subject.inputs)):
        sized = oracle.with_call(replace(oracle.raw, inputs=inputs))
        rngs = subject.expected.keys(layer, training=False, draws=draws)
        expected, _ = sized.apply(variables_of(layer), rngs, training=False)
        actual = call_model(model, sized.raw.arrays)
        path = "outputs of a model of unknown sizes"
        errors.append(compare_runs(subject, arrays_of(expected), actual, path=path))
    return largest(*errors)


@check("B2", "B3", needs=(*MODEL, Need.SEQUENTIAL))
def check_sequential_model(subject: Subject) -> Errors:
    """A `keras.Sequential` that builds the layer gives its outputs and variables."""
    layer = subject.new_layer()
    model = keras.Sequential([as_inputs(subject.arrays[0], any_batch=False), layer])
    return _compare_model(subject, model, layer, "a sequential model")


@check("B2", "B3", needs=MODEL)
def check_subclassed_model(subject: Subject) -> Errors:
    """A subclassed model that builds the layer in `predict_on_batch` gives the same."""
    layer = subject.new_layer()
    model = Holder(layer, subject.oracle.raw)
    traced = current_backend().traces_models
    return _compare_model(subject, model, layer, "a subclassed model", seen=not traced)


def _compare_model(
    subject: Subject, model: keras.Model, layer: Any, what: str, *, seen: bool = False
) -> Errors:
    twin = subject.shared_layer()
    before = subject.expected.variables(twin, seen=seen)
    rngs = subject.expected.keys(twin, training=False)
    outputs, updates = subject.oracle.apply(before, rngs, training=False)
    expected = subject.oracle.next_variables(before, updates)
    inputs = current_backend().to_backend(subject.arrays)
    inputs = inputs[0] if isinstance(model, keras.Sequential) else inputs
    actual = arrays_of(model.predict_on_batch(inputs))
    return largest(
        compare_runs(
            subject,
            arrays_of(outputs),
            actual,
            path=f"outputs of {what}",
            inlined=True,
        ),
        compare_runs(
            subject,
            expected,
            variables_of(layer),
            path=f"variables of {what}",
            inlined=True,
        ),
    )


# Masks.


@check("A4", needs=(Need.MASK,))
def check_masks(subject: Subject) -> Errors:
    """The mask of the layer before reaches an argument `mask`, and the layer after."""
    layer, mask, raw = subject.shared_layer(), mask_of(subject), subject.oracle.raw
    rngs = subject.expected.keys(layer, training=False)
    masked = subject.oracle.with_call(raw.with_mask(jax.numpy.asarray(mask)))
    expected, _ = masked.apply(variables_of(layer), rngs, training=False)
    call = raw.with_mask(None)
    (first, *rest), kwargs = current_backend().to_backend((call.inputs, dict(call.arguments)))
    actual = layer(GivesMask(mask)(first), *rest, training=False, **kwargs)
    if subject.oracle.array_outputs is True:
        _refuse_other_mask(actual, mask, first.ndim)
    return compare_runs(subject, expected, actual, path="outputs behind a mask")


def _refuse_other_mask(outputs: Any, mask: Any, rank: int) -> None:
    keeps = tuple(outputs.shape[:2]) == mask.shape
    if keeps and (len(outputs.shape) < rank or mask.ndim == rank):
        return  # as long by chance, perhaps: features of the input are no steps of the output
    after = SeesMask()
    after(outputs)
    found = "no mask" if after.seen is None else str(np.asarray(after.seen).tolist())
    expected = str(mask.tolist()) if keeps else "no mask"
    if found != expected:
        does = "does not travel on" if keeps else "travels on with other dimensions"
        raise KeepLawError(
            f"The mask {does} to the next layer.",
            expected=expected,
            found=found,
            law="A4",
        )
