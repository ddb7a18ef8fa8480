"""A raw call is that of the framework which a module is of."""

import functools

import flax.linen as nn
import numpy as np
import pytest
from flax import nnx

from flaxlayer_testing.oracle.linen_call import LinenCall
from flaxlayer_testing.oracle.nnx_call import NnxCall
from flaxlayer_testing.oracle.raw_calls import is_nnx, raw_call

X = np.ones((2, 3), np.float32)
OF_NNX = {
    "partial": functools.partial(nnx.Linear, 3, 2),
    "class": nnx.Linear,
    "object": nnx.Linear(3, 2, rngs=nnx.Rngs(0)),
    "function": lambda rngs: nnx.Linear(3, 2, rngs=rngs),
}


@pytest.mark.parametrize("form", OF_NNX)
def test_linen_modules_are_told_from_nnx_modules(form):
    assert is_nnx(OF_NNX[form])
    assert not is_nnx(nn.Dense(1))


@pytest.mark.parametrize("form", ["partial", "object", "function"])
def test_each_framework_has_a_call_of_its_own(form):
    assert type(raw_call(nn.Dense(2), (X,), {})) is LinenCall
    call = raw_call(OF_NNX[form], (X,), {})
    assert type(call) is NnxCall
    assert call.holds_values == (form == "object")


def test_calls_of_linen_are_intercepted_and_take_what_is_not_read():
    linen, of_nnx = raw_call(nn.Dense(2), (X,), {}), raw_call(OF_NNX["object"], (X,), {})
    assert (linen.intercepted, linen.takes_unread) == (True, True)
    assert (of_nnx.intercepted, of_nnx.takes_unread) == (False, False)
    seen = []

    def intercept(next_call, args, kwargs, context):
        seen.append(context.method_name)
        return next_call(*args, **kwargs)

    variables = {"params": {"kernel": np.ones((3, 2)), "bias": np.ones(2)}, "unread": {"a": X}}
    with nn.intercept_methods(intercept):
        linen.apply(variables, {}, [X], training=False, denied=frozenset({"params"}))
    assert seen == ["__call__"]
