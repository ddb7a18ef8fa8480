"""The modules in the files beside it, which an earlier tree wrote (eea3585); do not change."""

import collections
import dataclasses
import enum
import functools
import types
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import ml_collections
import numpy as np
from flax import nnx
from flax.core import FrozenDict
from jax.sharding import PartitionSpec

import flaxlayer

register = functools.partial(flaxlayer.register, package="older")


@register
class Net(nn.Module):
    """State, a stream, a value that is sown, and an activation."""

    width: int = 3
    act: Any = nn.relu

    @nn.compact
    def __call__(self, x, train=False):
        h = nn.BatchNorm(use_running_average=not train)(nn.Dense(self.width)(x))
        self.sow("intermediates", "normed", h)
        self.sow("losses", "size", 0.1 * jnp.mean(h**2))
        return self.act(nn.Dropout(0.25, deterministic=not train)(h))


@register
class NnxNet(nnx.Module):
    def __init__(self, dim, width=3, *, rngs):
        self.dim, self.width = dim, width
        self.dense = nnx.Linear(dim, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.drop = nnx.Dropout(0.25, rngs=rngs)

    def __call__(self, x):
        return self.drop(self.norm(self.dense(x)))

    def get_config(self):
        return {"dim": self.dim, "width": self.width}


@register
class AutoEncoder(nn.Module):
    def setup(self):
        self.e, self.d = nn.Dense(2), nn.Dense(4)

    def encode(self, x):
        return nn.tanh(self.e(x))

    def decode(self, z):
        return self.d(z)

    def __call__(self, x):
        return self.decode(self.encode(x))


class Pair(NamedTuple):
    left: Any
    right: Any


@register
class Packs(nn.Module):
    @nn.compact
    def __call__(self, pair, extra=None, mode="", *, scale=1.0, bounds=(0, 1)):
        h = nn.Dense(2)(pair.left) * scale
        if mode == "both" and extra is None:
            h = h + pair.right[..., bounds[0] : bounds[1]]
        return {"h": h, "pair": Pair(h, pair.right)}


register(Pair)


@register
class Sized(nn.Module):
    size: Any = None

    @nn.compact
    def __call__(self, x):
        return self.size.act(nn.Dense(self.size.width)(x))


class Opaque:
    """What only a pair of functions can store."""

    def __init__(self, width, act):
        self.width, self.act = width, act

    def __eq__(self, other):
        return isinstance(other, Opaque) and vars(self) == vars(other)


register(Opaque, encode=lambda o: {"width": o.width, "act": o.act}, decode=lambda d: Opaque(**d))


@register
def build_sized(width, *, act):
    """A factory: no field could hold the lambda."""
    size = Opaque(width, None)
    size.act = lambda x: act(x) + 1.0
    return Sized(size)


class Colour(enum.Enum):
    RED = "r"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: Any = 2


@register
def scaled(x, by=1.0):
    return x * by


@dataclasses.dataclass(frozen=True)
class Maker:
    """Has a method that makes a module."""

    width: int

    @register
    def make(self):
        return nn.Dense(self.width)


register(Maker)
register(Colour)
register(Point)


@register
class Fields(nn.Module):
    """Holds a value of each kind that a file can hold."""

    values: Any = None
    config: Any = None
    layer: Any = None
    again: Any = None

    @nn.compact
    def __call__(self, x):
        y = self.values["scale"](self.layer(x)) + self.again(x)
        return y * self.config.inner.factor + self.values["array"][0]


def make_fields():
    """The module whose fields hold one of each kind."""
    config = ml_collections.ConfigDict({"inner": {"factor": 2.0}, "name": "a"})
    config.copy_of = config.get_ref("name")
    one = Point(1, 7)
    values = {
        "tuple": (1, "a", None, True),
        "list": [1.5, [2]],
        "dict": {1: "one", (2, 3): "pair"},
        "ordered": collections.OrderedDict(b=1, a=2),
        "frozen": FrozenDict({"a": {"b": 1}}),
        "set": {3, 1},
        "frozenset": frozenset({"x"}),
        "int": 2**80,
        "float": float("inf"),
        "complex": 1 - 2j,
        "bytes": b"\x00\xff",
        "slice": slice(1, None, 2),
        "range": range(1, 9, 3),
        "constant": Ellipsis,
        "array": np.array([0.5, 2.0], np.float32),
        "scalar": np.int16(3),
        "half": np.dtype("float16"),
        "bfloat": jnp.bfloat16,
        "spec": PartitionSpec("data", None, ("x", "y")),
        "enum": Colour.RED,
        "pair": Pair(1, 2),
        "same": [one, one],
        "scale": functools.partial(scaled, by=3.0),
        "init": nn.initializers.variance_scaling(2.0, "fan_in", "normal"),
        "class": nn.LayerNorm,
        "opaque": Opaque(2, nn.relu),
        "precision": jax.lax.Precision.HIGHEST,
        "namespace": types.SimpleNamespace(a=1, b=(2,)),
        "lifted": nn.vmap(nn.Dense, variable_axes={"params": 0}, split_rngs={"params": True}),
        "method": AutoEncoder.encode,
    }
    inner = nn.Dense(2, kernel_init=nn.initializers.normal(0.5), param_dtype=jnp.float32)
    return Fields(values, ml_collections.FrozenConfigDict(config), inner, inner)


@register
class Dtypes(nn.Module):
    """Variables of many dtypes, boxed, and a typed key."""

    @nn.compact
    def __call__(self, x):
        normal = nn.with_partitioning(nn.initializers.normal(), (None, "model"))
        h = x @ self.param("half", normal, (4, 3), jnp.bfloat16)
        h = h * self.param("float16", nn.initializers.ones, (3,), jnp.float16)
        wave = self.param("wave", lambda key: jnp.array([1 + 2j, 2 - 1j, 3j]))
        table = self.param("table", lambda key: jnp.arange(3, dtype=jnp.int8))
        keep = self.variable("flags", "keep", lambda: jnp.array([True, False, True]))
        key = self.variable("keys", "key", lambda: jax.random.key(5))
        count = self.variable("flags", "count", lambda: jnp.zeros((), jnp.int32))
        if not self.is_initializing():
            count.value = count.value + 1
        h = h + jnp.abs(wave) + table + jnp.where(keep.value, 1.0, 2.0)
        return (h + jax.random.uniform(key.value, (3,))).astype(jnp.float32)


@register
class Late(nn.Module):
    """Makes its state at its first application, not at init."""

    @nn.compact
    def __call__(self, x):
        y = nn.Dense(3)(x)
        if not self.is_initializing():
            mean = self.variable("moments", "mean", lambda: jnp.zeros(3))
            mean.value = mean.value + y.mean(0)
            y = y - mean.value
        return y


@register
class Masked(nn.Module):
    @nn.compact
    def __call__(self, x, mask=None):
        y = nn.Dense(4)(x)
        return y if mask is None else jnp.where(mask[..., None], y, 5.0)


@register
class Attends(nn.Module):
    @nn.compact
    def __call__(self, x, mask=None):
        return nn.MultiHeadDotProductAttention(2)(x, mask=mask)


@keras.saving.register_keras_serializable(package="older")
class Own(flaxlayer.FlaxLayer):
    """A layer with weights of its own, before and after those of the module."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.before = self.add_weight(shape=(3,), initializer="ones", name="before")

    def build(self, input_shape):
        super().build(input_shape)
        self.after = self.add_weight(shape=(3,), initializer="zeros", name="after")

    def call(self, x, **kwargs):
        return super().call(x, **kwargs) * self.before + self.after


@keras.saving.register_keras_serializable(package="older")
class Within(keras.Model):
    """Holds a layer that is built by the inputs that its weights file records."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.net = flaxlayer.FlaxLayer(Net(), seed=16, losses=(), name="net")
        self.last = Own(nn.Dense(3), seed=17, name="last")

    def call(self, x, training=False):
        return self.last(self.net(x, training=training))
