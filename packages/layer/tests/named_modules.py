"""Modules whose names, boxes and dtypes tests of access and of weights files look at."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer import FlaxLayer


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(3, name="proj")(x)
        return nn.BatchNorm(use_running_average=not train)(x)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(2)(Block(name="encoder")(x, train))


class Odd(nn.Module):
    """Names, boxes and dtypes that a file format may stumble over."""

    @nn.compact
    def __call__(self, x):
        self.param("a.b", nn.initializers.normal(), (2,))
        self.param("100%", nn.initializers.normal(), (2,))
        self.param("half", nn.initializers.normal(), (2,), jnp.bfloat16)
        self.variable("codes", "bits", lambda: jnp.array([True, False]))
        self.variable("codes", "wave", lambda: jnp.array([1 + 2j]))
        self.variable("codes", "key", lambda: jax.random.key(5))
        boxed = nn.with_partitioning(nn.initializers.normal(), ("x",))
        return x * self.param("boxed", boxed, (4,))


def built(module=None, **kwargs):
    layer = FlaxLayer(module or Net(), name="net", **kwargs)
    layer.build((None, 4))
    return layer


def scramble(layer, seed=0):
    rng = np.random.default_rng(seed)
    for variable in layer.weights:
        variable.assign(rng.uniform(0.1, 1.0, variable.shape))


def raw_bits(tree):
    def bits(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        return np.asarray(leaf).tobytes()

    return jax.tree.map(bits, tree)
