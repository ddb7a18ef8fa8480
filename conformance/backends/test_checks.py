"""The checks on another backend than JAX: they pass, and they catch what is broken (K1, T5)."""

import functools

import flax.linen as nn
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_testing import Subject, run_report
from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.report.report import Status
from flaxlayer_testing.run.samples import LosesTraining, NegatesOutputs

X = np.random.default_rng(7).standard_normal((4, 5)).astype(np.float32)
TOKENS = np.random.default_rng(7).integers(0, 11, (2, 6)).astype(np.int32)


class Net(nn.Module):
    """Batch statistics and dropout."""

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.BatchNorm(use_running_average=not train)(nn.relu(nn.Dense(6)(x)))
        return nn.Dense(4)(nn.Dropout(0.2, deterministic=not train)(x))


class Remembers(nn.Module):
    """State that every call changes, an integer among it, and what it sows."""

    @nn.compact
    def __call__(self, x):
        count = self.variable("cache", "count", lambda: jnp.zeros((), jnp.int32))
        trace = self.variable("cache", "trace", lambda: jnp.zeros(3))
        hidden = nn.Dense(3)(x)
        if not self.is_initializing():
            count.value += 1
            trace.value = 0.5 * trace.value + jnp.tanh(hidden).mean(0)
        self.sow("intermediates", "mean", x.mean())
        self.sow("losses", "size", 0.01 * (hidden**2).sum())
        return hidden + trace.value / count.value.clip(1)


class Transformer(nn.Module):
    """Tokens through two blocks of causal attention."""

    @nn.compact
    def __call__(self, tokens, train: bool = False):
        x = nn.Embed(11, 8)(tokens) + nn.Embed(6, 8)(jnp.arange(tokens.shape[1]))
        mask = nn.make_causal_mask(tokens)
        for _ in range(2):
            attention = nn.MultiHeadDotProductAttention(2, dropout_rate=0.1)
            x += attention(nn.LayerNorm()(x), mask=mask, deterministic=not train)
            x += nn.Dense(8)(nn.gelu(nn.Dense(16)(nn.LayerNorm()(x))))
        return nn.Dense(11)(x)


class NnxNet(nnx.Module):
    """The same as `Net`, in nnx."""

    def __init__(self, rngs):
        self.first, self.last = nnx.Linear(5, 6, rngs=rngs), nnx.Linear(6, 3, rngs=rngs)
        self.norm, self.dropout = nnx.BatchNorm(6, rngs=rngs), nnx.Dropout(0.2, rngs=rngs)

    def __call__(self, x):
        return self.last(self.dropout(nnx.relu(self.norm(self.first(x)))))


SUBJECTS = {
    "linen": Subject(Net(), (X,)),
    "state": Subject(Remembers(), (X,)),
    "transformer": Subject(Transformer(), (TOKENS,)),
    "nnx": Subject(functools.partial(NnxNet), (X,)),
}
INAPPLICABLE = {
    need.reason
    for need in (
        *(Need.STILL, Need.STREAMS, Need.STATE, Need.OWN_VALUES, Need.SOWN, Need.UNKNOWN_SIZES),
        *(Need.REFUSED_SHAPES, Need.MASK_ARGUMENT, Need.LINEN),
    )
}
"""Why a check is skipped: each says something of the module, none of the backend."""
if not current_backend().traces_models:
    INAPPLICABLE.add(Need.EXPORTS.reason)


def passes(report):
    report.raise_for_failures()
    assert {entry.message for entry in report.of(Status.SKIPPED)} <= INAPPLICABLE
    return True


@pytest.mark.law("K1")
def test_every_check_passes_for_a_module_with_state():
    assert passes(run_report(SUBJECTS["state"]))


@pytest.mark.long
@pytest.mark.law("K1")
@pytest.mark.parametrize("name", SUBJECTS)
def test_every_check_passes_an_export_included(name):
    assert passes(run_report(SUBJECTS[name], slow=True))


@pytest.mark.law("K1")
@pytest.mark.parametrize("name", ["linen", "nnx"])
def test_modules_learn_as_raw_flax_does(name):
    names = ["check_training", "check_gradients", "check_fit"]
    assert passes(run_report(SUBJECTS[name], only=names))


class ScalesOutputs(FlaxLayer):
    """Computes a little less exactly than the table allows."""

    def call(self, *args, training=None, **kwargs):
        return super().call(*args, training=training, **kwargs) * (1 + 2e-5)


class DoublesGradients(FlaxLayer):
    """Gives right outputs with twice their gradient."""

    def call(self, *args, training=None, **kwargs):
        outputs = super().call(*args, training=training, **kwargs)
        return 2 * outputs - keras.ops.stop_gradient(outputs)


KeepsState = functools.partial(FlaxLayer, state_updates="never")


@pytest.mark.law("T5")
@pytest.mark.parametrize(
    ("layer", "check"),
    [
        (NegatesOutputs, "check_inference"),
        (ScalesOutputs, "check_inference"),
        (LosesTraining, "check_training"),
        (KeepsState, "check_state_training"),
        (DoublesGradients, "check_gradients"),
        (DoublesGradients, "check_fit"),
    ],
)
def test_a_faulty_layer_is_caught(layer, check):
    (entry,) = run_report(SUBJECTS["linen"].with_layer(layer), only=[check]).entries
    assert (entry.status, entry.error_type) == (Status.FAILED, "ParityError")
