"""Inputs of a build: their dtypes, and arguments from shapes as Keras takes them (A10, B1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer.inputs import (
    BuildInputs,
    arguments_from_shapes,
    array_specs,
    arrays_of,
    constant,
    is_shape,
    keras_tensor,
)
from flaxlayer_core import ArraySpec, BuildModuleError, LinenModule, MethodSignature, partition

F32, I32 = np.dtype("float32"), np.dtype("int32")


class One(nn.Module):
    def __call__(self, x, scale=1.0, train=False):
        return x


class Two(nn.Module):
    def __call__(self, x, y, *, train):
        return x


class Flagged(nn.Module):
    def __call__(self, x, train):
        return x


def method(module):
    return MethodSignature.from_method(LinenModule(module), None)


def inputs(*specs, **facts):
    structure = partition(tuple(specs), {})[1]
    return BuildInputs(list(specs), structure, facts.pop("values", None), **facts)


def shapes(arguments):
    return jax.tree.map(lambda spec: spec.shape, arguments, is_leaf=lambda s: hasattr(s, "dtype"))


@pytest.mark.law("B1")
@pytest.mark.parametrize(
    ("module", "given", "expected"),
    [
        (One(), (None, 3), ((None, 3),)),
        (One(), [2, 3], ((2, 3),)),
        (One(), (), ((),)),
        (One(), None, ()),
        (One(), [(2, 3), (4,)], ([(2, 3), (4,)],)),
        (One(), {"a": (2,), "b": [(3,)]}, ({"a": (2,), "b": [(3,)]},)),
        (Two(), [(2, 3), (4,)], ((2, 3), (4,))),
        (Two(), [(2, 3)], ([(2, 3)],)),
        (Two(), (None, 3), ((None, 3),)),
        (Flagged(), [(2, 3), (4,)], ([(2, 3), (4,)],)),
    ],
    ids=str,
)
def test_shapes_become_arguments_one_for_each_that_the_method_needs(module, given, expected):
    found = arguments_from_shapes(given, method(module))
    assert shapes(found) == expected
    specs = jax.tree.leaves(found, is_leaf=lambda s: isinstance(s, ArraySpec))
    assert {spec.dtype for spec in specs} <= {F32}


@pytest.mark.law("A10")
def test_arguments_from_shapes_have_keras_s_default_dtype():
    keras.config.set_floatx("float16")
    try:
        (argument,) = arguments_from_shapes((2,), method(One()))
    finally:
        keras.config.set_floatx("float32")
    assert argument.dtype == np.float16


@pytest.mark.law("B1")
@pytest.mark.parametrize(
    "given", ["text", 3, {"a": -1}, [(2, "b")], (2, -1), (2, 2**31), [1] * 33, (2.0,), (True,)]
)
def test_what_is_no_structure_of_shapes_is_refused(given):
    with pytest.raises(BuildModuleError, match="cannot be built from this input shape"):
        arguments_from_shapes(given, method(One()))


@pytest.mark.law("S3")
def test_a_shape_has_few_sizes_that_a_machine_can_count():
    assert is_shape([]) and is_shape((None, 0, 2**31 - 1)) and is_shape([1] * 32)
    for value in ([1] * 33, (2**31,), (-1,), (1.0,), (True,), {"a": 1}, "12", None):
        assert not is_shape(value)


@pytest.mark.law("A10")
def test_other_dtypes_leave_shapes_and_drop_values():
    known = inputs(ArraySpec((2,), F32), ArraySpec((3,), F32), values=[1, 2], guessed=True)
    assert known.with_dtypes(None) is known
    other = known.with_dtypes([I32, F32])
    assert other.dtypes == [I32, F32]
    assert [spec.shape for spec in other.specs] == [(2,), (3,)]
    assert (other.values, other.guessed) == (None, True)


@pytest.mark.law("A10")
@pytest.mark.parametrize(
    ("found", "guessed", "allowed"),
    [(I32, False, True), (F32, False, False), (F32, True, True), (np.dtype("int8"), True, False)],
    ids=["the same", "another", "of a shape", "told"],
)
def test_a_guess_is_right_where_the_call_does_not_say_otherwise(found, guessed, allowed):
    known = inputs(ArraySpec((2,), I32), guessed=True)
    assert known.allows(inputs(ArraySpec((9,), found), guessed=guessed)) is allowed


@pytest.mark.law("A10")
def test_a_guess_is_put_right_for_the_sizes_that_were_known():
    known = inputs(ArraySpec((None, 3), F32), guessed=True)
    call = inputs(ArraySpec((2, 1), I32), called=True)
    found = known.corrected(call)
    assert (found.specs, found.called, found.guessed) == ([ArraySpec((None, 3), I32)], True, False)
    longer = inputs(ArraySpec((2, 1, 3), I32))
    assert known.corrected(longer) is longer


def test_inputs_are_kept_without_their_arrays():
    kept = inputs(ArraySpec((2,), F32), values=[np.ones(2)], called=True, stored=True)
    kept = kept.without_values()
    assert (kept.values, kept.called, kept.stored) == (None, False, True)


@pytest.mark.law("A1")
def test_numbers_are_weak_and_arrays_are_what_the_backend_takes():
    specs = array_specs([0.5, np.float32(0.5), np.ones((2, 3), np.int8)])
    assert [(spec.shape, str(spec.dtype), spec.weak) for spec in specs] == [
        ((), "float32", True),
        ((), "float32", False),
        ((2, 3), "int8", False),
    ]


def test_keras_gets_tensors_for_specs_and_constants_that_it_can_store():
    tensor = keras_tensor(ArraySpec((None, 3), I32))
    assert (tensor.shape, tensor.dtype) == ((None, 3), "int32")
    assert keras_tensor("text") == "text"
    array = np.ones(2)
    assert constant(array) is array
    for value in (np.float32(3), np.array(3, np.int32), jnp.ones(2)):
        made = constant(value)
        assert keras.ops.is_tensor(made)
        assert keras.backend.standardize_dtype(made.dtype) == str(value.dtype)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(made), value)
    traced = []
    jax.make_jaxpr(lambda x: traced.append(constant(x) is x) or x)(1.0)
    assert traced == [True]


@pytest.mark.law("A5")
def test_arrays_are_found_in_any_tree():
    x = np.ones(2)
    assert [id(a) for a in arrays_of({"a": [x, "text", None], "b": (3, x)})] == [id(x)] * 2
