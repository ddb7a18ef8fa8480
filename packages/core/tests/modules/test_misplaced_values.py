"""What is no module and makes none is named, with what to pass in its place."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest
from flax import nnx
from flax.training.train_state import TrainState

from flaxlayer_core.errors import AcceptModuleError
from flaxlayer_core.modules.misplaced_values import module_of_call
from flaxlayer_core.modules.wrapping import wrap_module

DENSE = nn.Dense(2)
VARIABLES = DENSE.init(jax.random.key(0), np.ones((1, 3), np.float32))


class Net(nn.Module):
    """Is called on arrays."""

    def __call__(self, x):
        return x


class Predictor:
    """Is called on arrays, and makes no module."""

    def __call__(self, x):
        return x


def _state():
    return TrainState(0, DENSE.apply, VARIABLES["params"], None, None)


def _method(self, x):
    return self(x)


@pytest.mark.parametrize(
    ("value", "found", "fix"),
    [
        (DENSE.apply, "the bound method Dense.apply", "Pass the module itself; method= names"),
        (DENSE.init, "the bound method Dense.init", "Pass the module itself"),
        (jax.jit(DENSE.apply), "the bound method Dense.apply", "Pass the module itself"),
        (
            functools.partial(DENSE.apply, VARIABLES),
            "the bound method Dense.apply",
            "Pass the module itself",
        ),
        (_state().apply_fn, "the bound method Dense.apply", "Pass the module itself"),
        (_state(), "a TrainState, which holds parameters", "load_flax_variables takes this"),
        (VARIABLES, "a dict, such as variables are", "these as variables="),
        ((DENSE, VARIABLES), "a tuple of Dense, dict", "Pass a module alone"),
        (np.ones((2, 3), np.float32), r"an array, float32\[2, 3\]", "arrays are what the layer"),
        (jax.numpy.ones(3), r"an array, float32\[3\]", "arrays are what the layer"),
        (None, "NoneType: None", "Pass an instance of flax.linen.Module"),
    ],
    ids=[
        "apply",
        "init",
        "jitted",
        "partial",
        "apply_fn",
        "TrainState",
        "variables",
        "pair",
        "NumPy",
        "JAX",
        "None",
    ],
)
def test_what_makes_no_module_is_named_and_not_called(value, found, fix):
    with pytest.raises(
        AcceptModuleError, match=rf"(?s)as a module\..*Found: {found}.*Fix: .*{fix}"
    ):
        wrap_module(value)


def drawn(rngs):
    return list(map(int, jax.tree_util.tree_leaves(nnx.state(rngs, nnx.RngCount))))


def test_random_streams_are_not_drawn_from():
    rngs = nnx.Rngs(0)
    rngs.params()
    count = drawn(rngs)
    with pytest.raises(AcceptModuleError, match="Found: Rngs, random streams"):
        wrap_module(rngs)
    assert drawn(rngs) == count == [1]


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        (nn.relu, "If it makes a module, bind its arguments"),
        (functools.partial(nn.Dense), "If it makes a module, bind its arguments"),
        (_method, "Pass a module, and its method: FlaxLayer.module, method='_method'"),
        (Net().__call__, "Pass the module itself: FlaxLayer.module, method='__call__'"),
        (Predictor(), "Pass a module of Flax; any other object is called, without arguments"),
        (lambda: Predictor(), "Pass a module, or what returns one"),
    ],
    ids=["function", "class", "unbound", "bound", "object", "of something else"],
)
def test_what_fails_when_it_is_called_is_told_apart(value, fix):
    with pytest.raises(AcceptModuleError, match=rf"(?s)cannot make a module.*Fix: {fix}"):
        wrap_module(value)


@pytest.mark.parametrize("make", [Net().clone, DENSE.copy], ids=["clone", "copy"])
def test_a_method_that_makes_a_module_is_what_makes_it(make):
    assert module_of_call(make) is None
    assert isinstance(wrap_module(make).module, nn.Module)
