"""Signatures of endpoints are what Keras takes for one; an array stands for any batch."""

import keras
import numpy as np
import pytest

from flaxlayer.exports.endpoint_signatures import input_specs
from flaxlayer_core import ExportModelError

pytestmark = pytest.mark.law("S4")


def described(spec):
    return spec.shape, spec.dtype, spec.name


def test_a_spec_of_keras_is_taken_as_it_is():
    (spec,) = input_specs([keras.InputSpec(shape=(4, None), dtype="int32", name="tokens")])
    assert described(spec) == ((4, None), "int32", "tokens")


def test_a_tensor_of_keras_keeps_its_name_and_stands_for_any_batch():
    (spec,) = input_specs([keras.Input(batch_shape=(4, 3), name="x")])
    assert described(spec) == ((None, 3), "float32", "x")


@pytest.mark.parametrize(
    ("array", "shape"),
    [(np.ones((4, 3)), (None, 3)), (np.float64(1.0), ())],
    ids=["batch", "scalar"],
)
def test_an_array_stands_for_any_batch(array, shape):
    assert described(input_specs(array)) == (shape, "float64", None)


@pytest.mark.slow
def test_a_spec_of_tensorflow_is_taken_as_it_is():
    tensorflow = pytest.importorskip("tensorflow")
    spec = input_specs(tensorflow.TensorSpec((4, None), tensorflow.bfloat16, name="x"))
    assert described(spec) == ((4, None), "bfloat16", "x")


def test_structures_stay():
    x = np.ones((2, 3), "float32")
    specs = input_specs([{"a": x, "b": (x, x)}])
    assert [type(part) for part in (specs, specs[0], specs[0]["b"])] == [list, dict, tuple]


@pytest.mark.parametrize("given", [keras.InputSpec(ndim=4), keras.InputSpec(shape=(2,)), 3.0])
def test_what_says_no_shape_or_dtype_is_refused(given):
    with pytest.raises(ExportModelError, match="signature"):
        input_specs([given])
