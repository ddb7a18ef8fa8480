"""What is stored of an nnx object makes an equal one, or it is not stored."""

import jax.numpy as jnp
import pytest
from flax import nnx

from flaxlayer_core.compat.private_nnx import quiet_sow
from flaxlayer_core.config import decode_module, encode_module, remember
from flaxlayer_core.errors import EncodeModuleError

pytestmark = [
    pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11"),
    pytest.mark.law("S1"),
]


class Net(nnx.Module):
    def __init__(self, width=4, *, act=nnx.relu, rate=0.5, dtype=None, extra=False, rngs):
        self.dense = nnx.Linear(3, width, param_dtype=dtype or jnp.float32, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(width, width, rngs=rngs)])
        self.scale = lambda x: 2.0 * x
        self.act, self.width, self.table = act, width, jnp.arange(3.0)
        self.rngs = rngs
        if extra:
            self.extra = nnx.BatchStat(jnp.zeros(2))

    def __call__(self, x):
        self.sow(nnx.Intermediate, "seen", x)
        return self.act(self.dense(x))

    def get_config(self):
        return {"width": self.width}


class Described(Net):
    def get_config(self):
        return {"model_type": "net", "vocabulary": 7}


def stored(module):
    remember(module)
    return encode_module(module)


def test_an_equal_module_is_stored_after_calls_and_in_any_mode():
    module = Net(5, rngs=nnx.Rngs(0))
    with quiet_sow():
        module(jnp.ones((2, 3)))
    module.eval()
    made = decode_module(stored(module))(rngs=nnx.Rngs(params=0, dropout=1))
    assert made.width == 5


def test_a_configuration_of_another_meaning_is_refused():
    with pytest.raises(EncodeModuleError, match=r"(?s)model_type='net'.*unexpected.*Let De"):
        stored(Described(rngs=nnx.Rngs(0)))


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        ({"act": nnx.gelu}, "act"),
        ({"rate": 0.25}, "dropout/rate: 0.25, and 0.5 of that"),
        ({"dtype": jnp.float16}, "dense/"),
        ({"extra": True}, "extra.*and nothing of that"),
    ],
)
def test_what_the_configuration_leaves_out_is_named(arguments, difference):
    with pytest.raises(EncodeModuleError, match=rf"(?s)Found: {difference}.*functools\.partial"):
        stored(Net(rngs=nnx.Rngs(0), **arguments))


def test_what_was_changed_afterwards_is_named():
    module = Net(rngs=nnx.Rngs(0))
    module.layers.append(nnx.Linear(4, 4, rngs=nnx.Rngs(0)))
    with pytest.raises(EncodeModuleError, match=r"Found: layers"):
        stored(module)
    module = Net(rngs=nnx.Rngs(0))
    module.dense = nnx.Linear(3, 6, rngs=nnx.Rngs(0))
    with pytest.raises(EncodeModuleError, match=r"Found: dense/bias.*float32.6."):
        stored(module)


class Normed(nnx.Module):
    """Holds variables in a plain dictionary, as `nnx.SpectralNorm` does."""

    def __init__(self, features=2, *, rngs):
        self.norm = nnx.SpectralNorm(nnx.Linear(2, features, rngs=rngs), rngs=rngs)
        self.norm(jnp.ones((1, 2)))

    def __call__(self, x):
        return self.norm(x)

    def get_config(self):
        return {}


def test_variables_in_a_dictionary_are_compared_by_what_they_hold():
    assert decode_module(stored(Normed(rngs=nnx.Rngs(0))))(rngs=nnx.Rngs(1)).norm is not None
    with pytest.raises(EncodeModuleError, match=r"Found: norm/"):
        stored(Normed(3, rngs=nnx.Rngs(0)))
