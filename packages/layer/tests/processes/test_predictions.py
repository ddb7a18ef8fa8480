"""Predictions without a distribution (D2); with one see test_sharding and test_whole_files."""

import flax.linen as nn
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, predict_in_processes
from flaxlayer_core import CallArgumentError
from packages.layer.tests.needs import needs_layouts


class Two(nn.Module):
    @nn.compact
    def __call__(self, a, b):
        return {"sum": nn.Dense(2)(a) + b, "rows": a}


def model_of_two():
    a, b = keras.Input((3,)), keras.Input((2,))
    return keras.Model([a, b], FlaxLayer(Two())(a, b))


@pytest.mark.law("D2")
@pytest.mark.parametrize("rows", [1, 5, 8])
def test_they_are_those_of_predict(rows, same_bits):
    model = model_of_two()
    x = [np.linspace(0, 1, rows * n, dtype="float32").reshape(rows, n) for n in (3, 2)]
    found = predict_in_processes(model, x, batch_size=4, verbose=0)
    same_bits(found["rows"], x[0])
    same_bits(found, model.predict(x, batch_size=4, verbose=0))


@pytest.mark.law("D2")
@pytest.mark.parametrize(
    "x",
    [[np.ones((3, 3)), np.ones((2, 2))], [np.ones((3, 3)), 1.0], []],
    ids=["other rows", "a number", "nothing"],
)
def test_what_has_no_rows_is_refused(x):
    with pytest.raises(CallArgumentError, match="Cannot predict in processes"):
        predict_in_processes(model_of_two(), x)


@needs_layouts
@pytest.mark.law("D2")
@pytest.mark.jax_only("it is JAX that distributes")
@pytest.mark.parametrize(
    ("rows", "size", "found"), [(0, 4, "none in any"), (3, 0, "0"), (3, "x", "'x'")]
)
def test_no_rows_and_empty_batches_are_refused(rows, size, found):
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(devices=keras.distribution.list_devices())
    )
    try:
        model = model_of_two()
        x = [np.ones((rows, 3)), np.ones((rows, 2))]
        with pytest.raises(CallArgumentError, match=f"Found: {found}"):
            predict_in_processes(model, x, batch_size=size, verbose=0)
    finally:
        keras.distribution.set_distribution(None)
