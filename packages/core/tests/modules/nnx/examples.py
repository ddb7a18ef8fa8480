"""An nnx module with a part of every kind, run behind core's protocol and by itself."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.core import DenyList

from flaxlayer_core import (
    MethodSignature,
    NnxModule,
)

# Flax 0.12 has a list of its own.
as_list = getattr(nnx, "List", list)
X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


class Net(nnx.Module):
    """Dense, normalisation, dropout, a list, a tied layer, an array and a custom variable."""

    def __init__(self, width, *, rngs):
        self.dense = nnx.Linear(3, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.layers = as_list([nnx.Linear(width, width, rngs=rngs) for _ in range(2)])
        self.tied = self.layers[0]
        self.table = nnx.data(jnp.arange(float(width)))
        self.count = Count(jnp.zeros((), jnp.int32))

    def __call__(self, x):
        self.count[...] += 1
        x = self.dropout(self.norm(self.dense(x)))
        for layer in self.layers:
            x = layer(x)
        self.sow(nnx.Intermediate, "hidden", x)
        return self.tied(x) + self.table

    def encode(self, x):
        return self.dense(x)


class Count(nnx.Variable):
    pass


def make():
    return Net(4, rngs=nnx.Rngs(params=0, dropout=1))


def modes(training):
    call = MethodSignature.from_method(NnxModule(make()), None)
    return call.modes(training)


def init(module, *, method="__call__", keys=("default", "dropout", "params")):
    rngs = {name: jax.random.key(i) for i, name in enumerate(keys)}
    return module.init(rngs, (), {}, method=method), rngs


NOT_PARAMS = DenyList(("params",))


def apply(module, variables, *, training, rngs=None, mutable=NOT_PARAMS, **kwargs):
    return module.apply(
        variables,
        (X,),
        kwargs,
        method="__call__",
        rngs=rngs or {},
        mutable=mutable,
        modes=modes(training),
    )


def call_raw(module, x, *, training):
    (module.train if training else module.eval)()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module(x)


class Moded(nnx.Module):
    def __init__(self):
        self.training = True
        self.enabled = False

    def __call__(self, x):
        return x * self.training + 10 * x * self.enabled
