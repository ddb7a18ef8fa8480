"""Models that torch.compile compiles around a layer train as they do without it (K3)."""

import flax.linen as nn
import keras
import numpy as np
import pytest
import torch

from flaxlayer import FlaxLayer
from packages.layer.tests.backends.trained_by_hand import (
    Subclassed,
    sequential,
    three_steps,
)

pytestmark = [
    pytest.mark.law("K3"),
    pytest.mark.slow,
    # Dynamo warns of what it breaks a graph at, and of torch's own.
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


@pytest.fixture(autouse=True)
def plain_compiler():
    """Compiles with what Dynamo does alone: code for the CPU takes a minute and says no more."""
    torch._dynamo.reset()
    compile_as = torch.compile
    torch.compile = lambda function, **_: compile_as(function, backend="eager")
    yield
    torch.compile = compile_as


@pytest.mark.parametrize("make", [sequential, Subclassed])
def test_a_compiled_step_of_keras_is_the_step(make, close):
    close(*three_steps(make, jit_compile=True), rtol=1e-4)


def test_a_wrapper_of_keras_that_calls_the_layer_by_itself_is_compiled():
    layer = FlaxLayer(nn.Dense(2))
    timed = keras.layers.TimeDistributed(layer)
    x = torch.arange(24.0).reshape(2, 4, 3)
    expected = timed(x)
    found = torch.compile(lambda x: timed(x) + 1)(x)
    np.testing.assert_allclose(found.detach(), expected.detach() + 1)
    found.sum().backward()
    kernel = layer.params["params"]["kernel"].value
    np.testing.assert_allclose(kernel.grad, np.outer(x.sum((0, 1)), np.ones(2)))
