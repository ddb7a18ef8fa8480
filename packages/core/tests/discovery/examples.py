"""Modules that are examined in the tests, and what is compared of them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import DenyList

X = jax.ShapeDtypeStruct((2, 4), jnp.float32)
ONES = jnp.ones((2, 4))


class Norm(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.BatchNorm(use_running_average=not train)(x)


class MutableNorm(nn.Module):
    """Takes what it may change for the training flag."""

    @nn.compact
    def __call__(self, x):
        training = self.is_mutable_collection("batch_stats")
        return nn.BatchNorm(use_running_average=not training)(x)


class Counter(nn.Module):
    """Counts its calls in any mode."""

    collection: str = "counter"
    start: object = 0.0

    @nn.compact
    def __call__(self, x):
        count = self.variable(self.collection, "n", lambda: self.start)
        count.value = count.value + 1
        return x + count.value


class NormAndCounter(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return Counter()(Norm()(x, train))


class Sows(nn.Module):
    collection: str = "losses"

    @nn.compact
    def __call__(self, x):
        self.sow(self.collection, "l2", (x**2).sum())
        return nn.Dense(4)(x)


class SowsLast(nn.Module):
    """Keeps the last value only."""

    @nn.compact
    def __call__(self, x):
        last = {"init_fn": lambda: jnp.zeros(()), "reduce_fn": lambda old, new: new}
        self.sow("last", "mean", x.mean(), **last)
        return x


class SowsAtInference(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        if not train:
            self.sow("features", "x", x)
        return x


class Grows(nn.Module):
    @nn.compact
    def __call__(self, x):
        history = self.variable("history", "h", lambda: jnp.zeros(0))
        history.value = jnp.concatenate([history.value, x.mean()[None]])
        return x


class ChangesDtype(nn.Module):
    """Toggles its variable between two dtypes."""

    @nn.compact
    def __call__(self, x):
        v = self.variable("toggle", "v", lambda: jnp.zeros((), jnp.float32))
        v.value = v.value.astype("float16" if v.value.dtype == "float32" else "float32")
        return x


class Perturbed(nn.Module):
    @nn.compact
    def __call__(self, x):
        return self.perturb("h", nn.Dense(4)(x))


class Cached(nn.Module):
    """Decodes one step at a time behind a cache that init makes for the whole sequence."""

    @nn.compact
    def __call__(self, x):
        return nn.MultiHeadDotProductAttention(2, decode=True)(x)


class InferenceOnly(nn.Module):
    """Has a head and a cache that training never sees."""

    @nn.compact
    def __call__(self, x, train):
        if not train:
            x = nn.Dense(3, name="head")(x)
            cache = self.variable("cache", "last", lambda: jnp.zeros((3,)))
            cache.value = x.mean(0)
        return nn.Dense(4, name=f"body_{train}")(x)


class LateState(nn.Module):
    """Makes its state when it is applied, never at init."""

    @nn.compact
    def __call__(self, x):
        if not self.is_initializing():
            self.variable("late", "n", lambda: jnp.zeros(())).value += 1
        return x


class Insists(nn.Module):
    """Refuses in its own words to run where it may not change its cache."""

    @nn.compact
    def __call__(self, x):
        cache = self.variable("cache", "n", lambda: jnp.zeros(()))
        if not self.is_mutable_collection("cache"):
            raise ValueError("run me with a mutable cache")
        cache.value += 1
        return x


class WritesParams(nn.Module):
    @nn.compact
    def __call__(self, x):
        self.param("w", nn.initializers.zeros, ())
        if not self.is_initializing():
            self.put_variable("params", "w", jnp.ones(()))
        return x


class Branches(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = Counter(start=0)(x)
        return nn.Dense(2)(x) if x.sum() > 0 else -nn.Dense(2)(x)


class Returns(nn.Module):
    value: object = None

    @nn.compact
    def __call__(self, x):
        return {"x": x, "value": self.value}


class Spectral(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.SpectralNorm(nn.Dense(4))(x, update_stats=train)


class WeightNormed(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.WeightNorm(nn.Dense(4))(x)


class Tied(nn.Module):
    def setup(self):
        self.embed = nn.Embed(7, 4)

    def __call__(self, tokens):
        return self.embed.attend(self.embed(tokens))


class Block(nn.Module):
    train: bool

    @nn.compact
    def __call__(self, x, _):
        return nn.BatchNorm(use_running_average=not self.train)(nn.Dense(4)(x)), None


class Lifted(nn.Module):
    transform: str

    @nn.compact
    def __call__(self, x, train):
        axes = {"params": 0, "batch_stats": 0}
        split = {"params": True}
        body = {
            "scan": lambda: nn.scan(Block, variable_axes=axes, split_rngs=split, length=3),
            "vmap": lambda: nn.vmap(
                Block, in_axes=(None, None), variable_axes=axes, split_rngs=split, axis_size=3
            ),
            "remat": lambda: nn.remat(Block),
            "jit": lambda: nn.jit(Block),
        }[self.transform]()
        return body(train)(x, None)[0]


def roles(found):
    return {name: str(role) for name, role in found.layout.roles}


def raw_flag(module, training):
    """The training flag as raw Flax is given it."""
    takes = isinstance(module, Norm | NormAndCounter | Spectral)
    return {"train": training} if takes else {}


def raw_updates(module, variables, *args, denied=("params",), **kwargs):
    """What raw apply returns, abstract."""

    def apply(variables, *args):
        return module.apply(variables, *args, mutable=DenyList(denied), **kwargs)

    return jax.eval_shape(apply, variables, *args)[1]
