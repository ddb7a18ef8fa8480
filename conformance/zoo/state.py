"""Entries for state, random streams, sown values and metadata of variables."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from conformance.zoo.entry import Entry, X, linen
from flaxlayer import CollectionPolicy

__all__ = ["ENTRIES"]


class Counts(nn.Module):
    """A counter of training calls and one of all calls."""

    @nn.compact
    def __call__(self, x, train=False):
        steps = self.variable("counters", "steps", lambda: jnp.zeros((), jnp.int32))
        calls = self.variable("counters", "calls", lambda: jnp.zeros((), jnp.int32))
        if not self.is_initializing():
            calls.value += 1
            steps.value += train
        return x * (1 + steps.value) + calls.value


class Guarded(nn.Module):
    """A moving average that is kept wherever its collection may be changed."""

    @nn.compact
    def __call__(self, x):
        mean = self.variable("averages", "mean", jnp.zeros, x.shape[-1:])
        if self.is_mutable_collection("averages") and not self.is_initializing():
            mean.value = 0.5 * mean.value + 0.5 * jnp.mean(x, axis=0)
        return nn.Dense(3)(x - mean.value)


class LazyState(nn.Module):
    """A variable that only inference makes."""

    @nn.compact
    def __call__(self, x, *, train):
        y = nn.Dense(3)(x)
        if train:
            return y
        last = self.variable("cache", "last", lambda: jnp.zeros(()))
        if not self.is_initializing():
            last.value = last.value + jnp.sum(y)
        return y + last.value


class LateState(nn.Module):
    """State that no init makes, beside some that it makes."""

    @nn.compact
    def __call__(self, x):
        first = self.variable("sums", "first", jnp.zeros, x.shape[-1:])
        if not self.is_initializing():
            first.value += jnp.sum(x, axis=0)
            self.variable("sums", "second", jnp.ones, x.shape[-1:]).value *= 2
        return nn.Dense(3)(x + first.value)


class KeyState(nn.Module):
    """A typed key that is split at each call."""

    @nn.compact
    def __call__(self, x):
        key = self.variable("keys", "key", lambda: jax.random.key(3))
        now, following = jax.random.split(key.value)
        if not self.is_initializing():
            key.value = following
        return x + jax.random.normal(now, x.shape)


class StreamKeyState(nn.Module):
    """A typed key that init draws from a stream, beside params."""

    @nn.compact
    def __call__(self, x):
        key = self.variable("keys", "key", lambda: self.make_rng("params"))
        return nn.Dense(3)(x) + jax.random.uniform(key.value, (3,))


class AsksForStream(nn.Module):
    """Noise in training, where the stream is there."""

    @nn.compact
    def __call__(self, x, *, train=False):
        if train and self.has_rng("noise"):
            x = x + jax.random.normal(self.make_rng("noise"), x.shape)
        return nn.Dense(3)(x)


class TwoStreams(nn.Module):
    """One stream in both modes, another in training."""

    @nn.compact
    def __call__(self, x, deterministic=True):
        x = x + 0.1 * jax.random.normal(self.make_rng("latent"), x.shape)
        return nn.Dropout(0.5, deterministic=deterministic)(x)


class SowsDefault(nn.Module):
    """Values that are sown twice under one name, by a submodule too."""

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = jnp.tanh(nn.Dense(4)(x))
            self.sow("intermediates", "hidden", x)
        return x


class SowsLoss(nn.Module):
    """A loss by the default reducer, in training alone."""

    @nn.compact
    def __call__(self, x, train=False):
        y = nn.Dense(3)(x)
        if train:
            self.sow("losses", "square", 0.1 * jnp.mean(y**2))
        return y


class SowsSum(nn.Module):
    """Sown values of custom reducers: a sum, and the latest."""

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = jnp.tanh(nn.Dense(4)(x))
            self.sow(
                "metrics",
                "total",
                jnp.sum(x),
                reduce_fn=lambda old, new: old + new,
                init_fn=lambda: jnp.zeros(()),
            )
            self.sow("metrics", "latest", x[0], reduce_fn=lambda _, new: new, init_fn=lambda: None)
        return x


class Perturbs(nn.Module):
    """A point at which the gradient of a hidden value can be read."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(self.perturb("hidden", jnp.tanh(nn.Dense(3)(x))))


class Boxed(nn.Module):
    """Params and state with partition metadata, by axis and by logical name."""

    @nn.compact
    def __call__(self, x):
        init = nn.initializers.lecun_normal()
        x = nn.Dense(4, kernel_init=nn.with_partitioning(init, (None, "model")))(x)
        logical = nn.with_logical_partitioning(init, ("embed", "hidden"))
        x = nn.with_logical_constraint(nn.Dense(3, kernel_init=logical)(x), ("batch", "hidden"))
        scale_init = nn.with_partitioning(nn.initializers.ones_init(), ("model",))
        scale = self.variable("scales", "scale", lambda: scale_init(jax.random.key(0), (3,)))
        return x * scale.value


class BoxedState(nn.Module):
    """State with partition metadata that each call changes."""

    @nn.compact
    def __call__(self, x):
        init = nn.with_partitioning(nn.initializers.zeros_init(), ("model",))
        sums = self.variable("sums", "sum", lambda: init(jax.random.key(0), (4,)))
        if not self.is_initializing():
            sums.value = sums.value + jnp.sum(x, axis=0)
        return x + sums.value


class Stateless(nn.Module):
    """No variables at all."""

    def __call__(self, x):
        return jnp.sort(x, axis=-1), jnp.argmax(x, axis=-1)


class EmptyBranch(nn.Module):
    """A submodule without variables beside one with them."""

    @nn.compact
    def __call__(self, x):
        return Stateless()(nn.Dense(3)(x))[0]


KEPT = CollectionPolicy(transient=("intermediates",), state=("perturbations",))


def entry(module, topic, *laws, **options):
    covers = (f"feature.{topic}", *(f"law.{law}" for law in laws))
    return linen(module, X, covers=covers, **options)


ENTRIES: tuple[Entry, ...] = (
    entry(Counts, "custom_collections", "C2"),
    entry(Guarded, "is_mutable_collection", "C3"),
    entry(LazyState, "state_made_at_inference", "B2"),
    entry(LateState, "state_made_by_apply"),
    entry(KeyState, "typed_keys", "C6"),
    entry(StreamKeyState, "typed_keys"),
    entry(AsksForStream, "has_rng", "R1"),
    entry(TwoStreams, "streams", "R2", "R3", "R4"),
    entry(SowsDefault, "sow", "C7"),
    entry(SowsLoss, "sow_losses"),
    entry(SowsSum, "sow_reducers"),
    entry(Perturbs, "perturb"),
    entry(
        Perturbs,
        "perturb",
        name="PerturbsKept",
        settings={"collections": KEPT},
        transient=KEPT.transient,
    ),
    entry(Boxed, "partition_metadata"),
    entry(BoxedState, "partition_metadata_of_state"),
    entry(Stateless, "no_variables"),
    entry(EmptyBranch, "empty_submodule", "W1"),
)
