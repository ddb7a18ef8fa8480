import flax.linen as nn
import numpy as np
import pytest

from flaxlayer_testing.oracle.linen_call import LinenCall
from flaxlayer_testing.oracle.oracle import Oracle

X = np.ones((2, 3), np.float32)
MASK = np.array([True, False])


class Positional(nn.Module):
    def __call__(self, x, mask=None, scale=1.0):
        return x * scale if mask is None else x * scale * mask[:, None]


class ByName(nn.Module):
    def __call__(self, *xs, mask=None):
        return xs if mask is None else [x * mask[:, None] for x in xs]


class Unmasked(nn.Module):
    def __call__(self, x):
        return x


@pytest.mark.law("A4")
@pytest.mark.parametrize(
    ("call", "inputs", "others"),
    [
        (LinenCall(Positional(), (X,), {"scale": 2.0}), (X,), {"scale": 2.0}),
        (LinenCall(Positional(), (X, MASK, 2.0), {}), (X,), {"scale": 2.0}),
        (LinenCall(Positional(), (X,), {"mask": MASK}), (X,), {}),
        (LinenCall(ByName(), (X, X), {}), (X, X), {}),
    ],
)
def test_a_mask_takes_the_place_of_the_one_that_a_call_has(call, inputs, others):
    masked = call.with_mask(~MASK)
    assert (len(masked.inputs), masked.arguments.pop("mask").tolist()) == (
        len(inputs),
        (~MASK).tolist(),
    )
    assert masked.arguments == others
    assert call.with_mask(None).arguments == others


@pytest.mark.law("A4")
def test_a_call_without_a_mask_stays_the_same():
    call = LinenCall(Unmasked(), (X,), {})
    assert not call.takes_mask
    assert call.with_mask(MASK) is call


@pytest.mark.law("A6")
def test_leaves_that_are_no_arrays_come_out_of_a_compiled_call():
    class Mixed(nn.Module):
        def __call__(self, x):
            return {"x": 2 * x, "kind": "double", "size": 3, "none": None}

    outputs, _ = Oracle(LinenCall(Mixed(), (X,), {})).apply({}, {}, training=False)
    assert outputs.pop("x").tolist() == (2 * X).tolist()
    assert outputs == {"kind": "double", "size": 3, "none": None}
