"""Abstract inputs: known, symbolic and filled-in dimensions (B1)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from flaxlayer_core import ArraySpec, abstract_inputs, drop_symbols, symbolic_arrays

pytestmark = pytest.mark.law("B1")


def shapes(inputs):
    return [array.shape for array in inputs.arrays]


def symbolic(shape):
    return [export.is_symbolic_dim(dim) for dim in shape]


@pytest.mark.parametrize(
    ("shape", "dtype", "text"),
    [
        ((None, 3), "int32", "int32[?,3]"),
        ((), "bool", "bool[]"),
        ((2,), jnp.bfloat16, "bfloat16[2]"),
    ],
)
def test_a_spec_prints_its_dtype_and_shape(shape, dtype, text):
    assert str(ArraySpec(shape, np.dtype(dtype))) == text


def test_a_spec_of_typed_keys_prints(spec):
    assert str(ArraySpec((None,), jax.random.key(0).dtype)) == "key<fry>[?]"


def test_the_unknown_axes_of_a_spec_are_those_without_a_size(spec):
    assert spec(None, 3, None).unknown_axes == (0, 2)


@pytest.mark.parametrize(
    ("shape", "accepted"),
    [
        ((5, 3), True),
        ((None, 3), True),
        ((5, None), True),
        ((5, 4), False),
        ((5,), False),
        ((5, 3, 1), False),
    ],
)
def test_a_spec_accepts_shapes_that_agree_where_both_are_known(spec, shape, accepted):
    assert spec(None, 3).accepts(shape) is accepted


def test_known_shapes_have_one_binding_and_no_symbols(spec):
    (only,) = abstract_inputs([spec(2, 3), spec(4, dtype="int32")])
    assert shapes(only) == [(2, 3), (4,)]
    assert (only.symbols, only.resized) == ({}, ())


def test_no_inputs_have_one_empty_binding():
    (only,) = abstract_inputs([])
    assert only.arrays == ()


def test_abstract_arrays_have_the_dtype_of_the_input(spec):
    for inputs in abstract_inputs([spec(None, 3, dtype="int32"), spec(None, dtype="bool")]):
        assert [array.dtype for array in inputs.arrays] == [np.int32, np.bool_]


def test_unknown_dimensions_are_symbols_at_first(spec):
    first = next(abstract_inputs([spec(None, 3, None)]))
    assert symbolic(shapes(first)[0]) == [True, False, True]


def test_the_same_axis_of_two_inputs_is_the_same_symbol(spec):
    tokens, mask = shapes(
        next(abstract_inputs([spec(None, None, dtype="int32"), spec(None, None)]))
    )
    assert tokens == mask
    assert tokens[0] != tokens[1]


def test_then_all_unknown_dimensions_are_one_symbol(spec):
    _, second, *_ = abstract_inputs([spec(None, None)])
    (shape,) = shapes(second)
    assert symbolic(shape) == [True, True]
    assert shape[0] == shape[1]


def test_at_last_unknown_dimensions_are_sizes(spec):
    *_, last = abstract_inputs([spec(None, None, 3)])
    assert symbolic(shapes(last)[0]) == [False, False, False]


def test_each_unknown_axis_of_filled_sizes_is_varied_by_itself(spec):
    for inputs in abstract_inputs([spec(None, 3, None)]):
        if not inputs.resized:
            continue
        (base,) = shapes(inputs)
        changed = [
            [axis for axis in range(3) if arrays[0].shape[axis] != base[axis]]
            for _, arrays in inputs.resized
        ]
        assert changed == [[0], [2]]


@pytest.mark.law("B6")
@pytest.mark.parametrize("shape", [(None, 3), (None, None, 3), (2, None), (2, 3)], ids=str)
def test_no_choice_of_sizes_comes_twice(shape, spec):
    choices = [str(shapes(inputs)) for inputs in abstract_inputs([spec(*shape)])]
    assert len(set(choices)) == len(choices) > 0


def test_messages_name_an_axis_by_what_it_stands_for(spec):
    first = next(abstract_inputs([spec(None, None)]))
    assert list(first.symbols.values()) == [
        "the batch dimension (axis 0)",
        "the unknown dimension of axis 1",
    ]


def test_symbols_become_unknown_again():
    assert drop_symbols(export.symbolic_shape("b, 3, 2*b, b")) == (None, 3, None, None)


def test_dimensions_of_one_name_are_one_symbol_of_at_least_the_least_size(spec):
    specs = [spec(None, 3, None), spec(None), spec(4, dtype="int32")]
    first, second, known = symbolic_arrays(specs, lambda place, axis: f"n{place * axis}", 2)
    assert (str(first.shape), str(second.shape), known.shape) == ("(n0, 3, n0)", "(n0,)", (4,))
    assert first.shape[0] >= 2
