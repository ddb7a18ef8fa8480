"""The laws as a pure model say of each call what its own form says."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_testing.oracle.linen_call import LinenCall
from flaxlayer_testing.oracle.model import LawModel, LawSettings
from flaxlayer_testing.oracle.oracle import Oracle

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, frozen=True):
        return nn.Dropout(0.5, deterministic=frozen)(nn.Dense(2)(x))


RAW = LinenCall(Net(), (X,), {}, training_arg="~frozen")
TURNED = replace(RAW, training_arg="frozen")


@pytest.mark.parametrize("order", [(RAW, TURNED), (TURNED, RAW)])
def test_calls_of_other_training_arguments_are_told_apart(order):
    laws = LawModel(Oracle(RAW), LawSettings(seed=0))
    streams = {raw.training_arg: laws.streams(raw, training=True) for raw in order}
    assert streams == {"~frozen": {"dropout"}, "frozen": frozenset()}
    state = laws.built()
    found = [laws.call(state, raw, training=False)[0].outputs for raw in (RAW, TURNED)]
    raw = Net().apply(state.variables, X, frozen=True)
    np.testing.assert_array_equal(found[0], jax.device_get(raw))
    assert not np.array_equal(found[0], found[1])


class Guarded(nn.Module):
    """Refuses an empty batch, and counts where it may."""

    @nn.compact
    def __call__(self, x):
        count = self.variable("counts", "n", lambda: jnp.zeros(()))
        if self.is_mutable_collection("counts") and not self.is_initializing():
            count.value += 1
        return jnp.reshape(x, (x.shape[0], -1))


def test_a_refused_call_says_nothing_of_the_next():
    raw = LinenCall(Guarded(), (X,), {})
    laws = LawModel(Oracle(raw), LawSettings(seed=0))
    state = laws.built()
    with pytest.raises(ZeroDivisionError):
        laws.call(state, replace(raw, inputs=(X[:0],)), training=False)
    _, after = laws.call(state, raw, training=False)
    assert after.variables["counts"]["n"] == 0
