"""A module whose method takes an `nnx.Rngs` is checked without a word about it (R5)."""

from functools import partial

import flax.linen as nn
import jax
import numpy as np
import pytest
from flax import nnx

from flaxlayer_testing import check_module
from flaxlayer_testing.oracle.asked_streams import with_asked_streams
from flaxlayer_testing.oracle.raw_calls import raw_call

pytestmark = pytest.mark.law("R5", "T10")

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)


class Handed(nnx.Module):
    """Dropout by what the caller hands over, and noise by another stream of it."""

    def __init__(self, *, rngs):
        self.linear = nnx.Linear(3, 4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5)

    def __call__(self, x, *, rngs: nnx.Rngs | None = None):
        x = self.dropout(self.linear(x), rngs=rngs)
        if rngs is not None and "noise" in rngs:
            x = x + jax.random.normal(rngs.noise(), x.shape)
        return x


class Unasked(nnx.Module):
    def __init__(self, *, rngs):
        self.linear = nnx.Linear(3, 4, rngs=rngs)

    def __call__(self, x, rngs=None):
        return self.linear(x)


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x, *, streams: "nnx.Rngs | None" = None):
        x = nn.Dense(2)(x)
        return x if streams is None else x + jax.random.normal(streams.noise(), x.shape)


class Named(nn.Module):
    """Raw Flax cannot give a method of linen an argument of this name."""

    @nn.compact
    def __call__(self, x, rngs=None):
        return nn.Dense(2)(x)


class Other(nn.Module):
    @nn.compact
    def __call__(self, x, rngs: "dict | None" = None):
        return nn.Dense(2)(x)


def streams(module, *inputs, **arguments):
    (found,) = with_asked_streams(raw_call(module, inputs, arguments)).keys
    return found.streams


def test_the_streams_that_a_method_asks_for_are_found():
    assert streams(partial(Handed), X) == ("dropout", "noise")
    assert streams(partial(Unasked), X) == ()
    assert streams(Linen(), X) == ("noise",)


@pytest.mark.parametrize(
    ("module", "inputs", "arguments"),
    [
        (Other(), (X,), {}),
        (nn.Dense(2), (X,), {}),
        (Named(), (X,), {}),
        (partial(nnx.Dropout, 0.5), (X,), {}),
        (partial(Unasked), (X, None), {}),
        (partial(Unasked), (X,), {"rngs": None}),
    ],
    ids=["another_kind", "none", "of_linen", "of_its_own", "by_place", "by_name"],
)
def test_other_parameters_and_those_that_are_given_are_left_alone(module, inputs, arguments):
    assert with_asked_streams(raw_call(module, inputs, arguments)).keys == ()


@pytest.mark.parametrize(
    "module",
    [partial(Handed), partial(Unasked), Linen(), Named(), partial(nnx.Dropout, 0.5)],
    ids=["handed", "unasked", "linen", "named", "own"],
)
def test_such_a_module_passes(module):
    names = ["check_training", "check_inference", "check_streams", "check_seed_steps"]
    report = check_module(module, X, only=[*names, "check_stateless_call"])
    assert report.ok, [entry.message for entry in report.entries]
