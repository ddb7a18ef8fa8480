import pickle
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import freeze

from flaxlayer_testing import ParityError, Tolerance, compare_trees

EPS = 2.0**-23


class Pair(NamedTuple):
    left: object
    right: object


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def refused(expected, actual, **options):
    with pytest.raises(ParityError) as caught:
        compare_trees(expected, actual, **options)
    return caught.value


TREE = {"params": {"Dense_0": {"bias": ones(2), "kernel": ones(3, 2)}}, "step": np.int32(3)}


@pytest.mark.parametrize("bitwise", [True, False])
def test_equal_trees_have_no_error(bitwise):
    assert compare_trees(TREE, TREE, bitwise=bitwise) == {"float32": 0.0, "int32": 0.0}


@pytest.mark.parametrize("bitwise", [True, False])
@pytest.mark.parametrize("tree", [{}, (), None, {"a": {}}, {"a": ones(0, 3)}])
def test_empty_trees_agree(tree, bitwise):
    assert set(compare_trees(tree, tree, bitwise=bitwise)) <= {"float32"}


@pytest.mark.parametrize(
    ("expected", "actual", "path"),
    [
        ({"a": 1.0}, {"b": 1.0}, ""),
        ({"a": {"b": 1.0}}, {"a": {}}, "a"),
        ({"a": {"b": 1.0}}, {"a": {"b": 1.0, "c": 1.0}}, "a"),
        ({"a": (1.0, 2.0)}, {"a": [1.0, 2.0]}, "a"),
        ({"a": (1.0,)}, {"a": (1.0, 2.0)}, "a"),
        ({"a": 1.0, "b": None}, {"a": 1.0, "b": 1.0}, "b"),
        ({"a": {"b": 1.0}}, {"a": 1.0}, "a"),
        ({"a": {}}, {"a": ()}, "a"),
        ({"a": {"b": 1.0}}, {"a": freeze({"b": 1.0})}, "a"),
        (({"x": Pair(1.0, (2.0,))},), ({"x": Pair(1.0, 2.0)},), "0/x/right"),
        ({"k": nn.Partitioned(1.0, ("a",))}, {"k": nn.Partitioned(1.0, ("b",))}, "k"),
        ({"k": nn.Partitioned(1.0, ("a",))}, {"k": 1.0}, "k"),
    ],
)
def test_a_different_structure_is_named_by_its_path(expected, actual, path):
    error = refused(expected, actual)
    assert (error.kind, error.path) == ("structure", path)
    assert "structure" in str(error)


def test_a_missing_entry_is_shown():
    error = refused({"Dense_0": {"bias": 1.0, "kernel": 1.0}}, {"Dense_0": {"kernel": 1.0}})
    assert str(error) == (
        "Dense_0 differs in structure.\n"
        "Expected: dict with entries [bias, kernel]\n"
        "Found: dict with entries [kernel]\n"
        "Law: T4"
    )


def test_a_different_shape_is_named():
    error = refused({"a": ones(2, 3)}, {"a": ones(3, 2)})
    assert (error.kind, error.path) == ("shape", "a")
    assert "float32[2,3]" in error.expected
    assert "float32[3,2]" in error.found


def test_broadcasting_is_no_agreement():
    assert refused(ones(2), ones(2, 1)).kind == "shape"
    assert refused(ones(), ones(1)).kind == "shape"


@pytest.mark.parametrize("other", [np.float16, np.float64, np.int32, bool, jnp.bfloat16])
@pytest.mark.parametrize("bitwise", [True, False])
def test_a_different_dtype_is_named(other, bitwise):
    error = refused({"a": ones(2)}, {"a": ones(2).astype(other)}, bitwise=bitwise)
    assert (error.kind, error.path) == ("dtype", "a")


def test_structure_comes_before_shape_before_dtype_before_value():
    good = {"a": ones(2), "b": ones(2), "c": ones(2), "d": (ones(2),)}
    value, dtype = {"a": 2 * ones(2)}, {"b": ones(2, dtype=np.float16)}
    shape, structure = {"c": ones(3)}, {"d": ones(2)}
    assert refused(good, good | value).kind == "value"
    assert refused(good, good | value | dtype).kind == "dtype"
    assert refused(good, good | value | dtype | shape).kind == "shape"
    assert refused(good, good | value | dtype | shape | structure).kind == "structure"


def test_a_value_within_the_table_agrees_and_its_error_is_returned():
    assert compare_trees(ones(2), ones(2) + np.float32(4 * EPS)) == {"float32": 4 * EPS}


@pytest.mark.parametrize("scale", [1, 1000])
def test_a_value_beyond_the_table_is_refused(scale):
    near = np.float32(scale * (1 + 15 * EPS))
    assert compare_trees(np.float32(scale), near)
    far = np.float32(scale * (1 + 100 * EPS))
    assert refused(np.float32(scale), far).kind == "value"


def test_a_value_message_names_the_element_and_how_many_differ():
    actual = ones(2, 3)
    actual[1, 2] = 3
    error = refused({"a": {"b": ones(2, 3)}}, {"a": {"b": actual}})
    assert (error.kind, error.path) == ("value", "a/b")
    assert "at index (1, 2) (float32[2,3])" in error.expected
    assert "3.0" in error.found
    assert "1 of 6 elements differ, by up to 2" in error.found


def test_errors_of_opposite_sign_do_not_cancel():
    assert refused(ones(2), np.float32([1.1, 0.9])).kind == "value"


def test_one_wrong_element_among_many_is_found():
    actual = ones(100_000)
    actual[54_321] += 1e-3
    assert "(54321,)" in refused(ones(100_000), actual).expected


@pytest.mark.parametrize("bitwise", [True, False])
def test_swapped_values_are_found(bitwise):
    left, right = np.float32([1, 2]), np.float32([3, 4])
    error = refused({"a": left, "b": right}, {"a": right, "b": left}, bitwise=bitwise)
    assert error.path == "a"


def test_one_bit_is_a_bitwise_difference():
    near = np.nextafter(np.float32(1), np.float32(2))
    assert refused(np.float32(1), near, bitwise=True).kind == "value"
    assert compare_trees(np.float32(1), near) == {"float32": EPS}


def test_minus_zero_is_zero_but_not_bitwise():
    assert compare_trees(np.float32(0), np.float32(-0.0)) == {"float32": 0.0}
    assert refused(np.float32(0), np.float32(-0.0), bitwise=True).kind == "value"


def test_nans_agree_bitwise_where_their_bits_do():
    quiet = np.uint32(0x7FC00000).view(np.float32)
    other = np.uint32(0x7FC00001).view(np.float32)
    assert compare_trees(quiet, quiet, bitwise=True) == {"float32": 0.0}
    assert refused(quiet, other, bitwise=True).kind == "value"
    assert compare_trees(quiet, other) == {"float32": 0.0}


@pytest.mark.parametrize("bitwise", [True, False])
@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (np.nan, 1.0),
        (1.0, np.nan),
        (np.inf, 1e38),
        (1.0, np.inf),
        (np.inf, -np.inf),
        (np.inf, np.nan),
    ],
)
def test_values_that_are_not_finite_agree_only_with_themselves(expected, actual, bitwise):
    assert refused(np.float32(expected), np.float32(actual), bitwise=bitwise).kind == "value"
    assert compare_trees(np.float32(expected), np.float32(expected), bitwise=bitwise)


@pytest.mark.parametrize("bitwise", [True, False])
def test_large_integers_are_exact(bitwise):
    assert refused(np.int64(2**60), np.int64(2**60 + 1), bitwise=bitwise).kind == "value"
    assert refused(np.uint8(0), np.uint8(255), bitwise=bitwise).kind == "value"


def test_booleans_and_complex_numbers_are_compared():
    assert refused(np.array([True]), np.array([False])).kind == "value"
    assert refused(np.complex64(1 + 1j), np.complex64(1 - 1j)).kind == "value"
    assert compare_trees(np.complex64(1j), np.complex64(1j)) == {"complex64": 0.0}


def test_half_precision_has_its_own_tolerance():
    expected = jnp.ones(2, jnp.bfloat16)
    assert compare_trees(expected, expected + jnp.bfloat16(2**-7)) == {"bfloat16": 2.0**-7}
    assert refused(expected, expected * 1.25).kind == "value"


def test_keys_are_compared_by_their_data():
    assert compare_trees(jax.random.key(0), jax.random.key(0), bitwise=True) == {"uint32": 0.0}
    assert refused(jax.random.key(0), jax.random.key(1)).kind == "value"


def test_keys_of_two_implementations_differ():
    assert refused(jax.random.key(0), jax.random.key(0, impl="rbg")).kind in ("shape", "dtype")


def test_python_numbers_are_what_jax_makes_of_them():
    assert compare_trees({"a": 2.0, "b": 3}, {"a": jnp.float32(2), "b": jnp.int32(3)}, bitwise=True)


def test_leaves_that_are_no_arrays_agree_where_they_are_equal():
    assert compare_trees({"a": "x"}, {"a": "x"})
    assert refused({"a": "x"}, {"a": "y"}).kind == "value"


def test_the_largest_error_is_kept_for_each_dtype():
    expected = {"a": ones(1), "b": ones(1), "c": ones(1, dtype=np.float16)}
    actual = {
        "a": ones(1) + np.float32(EPS),
        "b": ones(1) + np.float32(3 * EPS),
        "c": expected["c"],
    }
    assert compare_trees(expected, actual) == {"float32": 3 * EPS, "float16": 0.0}


def test_a_path_stands_before_the_paths_of_the_tree():
    assert refused({"a": 1.0}, {"a": 2.0}, path="state/batch_stats").path == "state/batch_stats/a"


def test_a_tolerance_can_be_overridden_by_dtype():
    loose = {"float32": Tolerance(0.0, 0.5)}
    assert compare_trees(ones(1), ones(1) * np.float32(1.25), tolerances=loose) == {"float32": 0.25}
    tight = {"float32": Tolerance(0.0, 0.0)}
    assert refused(ones(1), ones(1) + np.float32(EPS), tolerances=tight).kind == "value"


def test_an_error_survives_pickling():
    error = refused({"a": 1.0}, {"a": 2.0})
    again = pickle.loads(pickle.dumps(error))
    assert (again.kind, again.path, str(again)) == (error.kind, error.path, str(error))
    assert isinstance(error, AssertionError)


@pytest.mark.law("T4")
@pytest.mark.parametrize("bitwise", [True, False])
def test_leaves_that_are_no_arrays_are_compared_by_equality(bitwise):
    compare_trees((abs, {1}), (abs, {1}), bitwise=bitwise)
    with pytest.raises(ParityError, match="1"):
        compare_trees((abs, {1}), (abs, {2}), bitwise=bitwise)
    with pytest.raises(ParityError, match="0"):
        compare_trees((abs,), (max,), bitwise=bitwise)
