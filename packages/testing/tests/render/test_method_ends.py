"""How a method takes its arrays and returns its results."""

import pytest

from flaxlayer_testing import Extra, ModuleSpec, ValueType
from flaxlayer_testing.render.method_ends import entry_lines, extra_lines, input_names, return_text

X, MASK = ValueType((4, 2)), ValueType((4,), "bool")


def spec(count, outputs=(0,), **parts):
    return ModuleSpec((X,) * count, (), outputs, **parts)


@pytest.mark.parametrize(
    ("form", "count", "line"),
    [
        ("dict", 1, "(x0,) = (inputs['x0'],)"),
        ("dict", 2, "x0, x1 = inputs['x0'], inputs['x1']"),
        ("tuple", 2, "x0, x1 = inputs"),
        ("dataclass", 1, "(x0,) = inputs.values"),
    ],
)
def test_arrays_in_a_pytree_get_their_names(form, count, line):
    assert entry_lines(spec(count, arguments=form)) == [line]


def test_arrays_that_come_one_by_one_have_their_names():
    assert entry_lines(spec(2)) == []


def test_a_mask_that_is_left_out_masks_nothing():
    masked = ModuleSpec((X, MASK), (), (0,), mask=True)
    assert input_names(masked) == ["x0", "mask"]
    assert entry_lines(masked) == ["mask = jnp.ones(x0.shape[:2], bool) if mask is None else mask"]


@pytest.mark.parametrize(
    ("structure", "outputs", "text"),
    [
        ("array", (1,), "x1"),
        ("tuple", (0,), "(x0,)"),
        ("tuple", (0, 1), "(x0, x1)"),
        ("dict", (1, 0), "{'y0': x1, 'y1': x0}"),
        ("nested", (0, 1), "{'first': x0, 'rest': [x1]}"),
        ("dataclass", (0, 1), "Record((x0, x1))"),
    ],
)
def test_results_are_returned_in_their_structure(structure, outputs, text):
    assert return_text(spec(2, outputs, structure=structure)) == text


def test_extra_parameters_change_the_first_floating_output():
    tokens = ModuleSpec(
        (ValueType((4,), "int32"), X), (), (0, 1), "tuple", extras=(Extra("times"),)
    )
    assert extra_lines(tokens) == ["x1 = halve(x1, times)"]
