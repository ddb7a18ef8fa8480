"""Entries for how modules are put together: setup, scopes, inheritance, dtypes."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import flax.struct
import jax.numpy as jnp

from conformance.zoo.entry import Entry, feature, normal

__all__ = ["ENTRIES"]


class SetUp(nn.Module):
    """Submodules of `setup`, in a list and a dict, run by several methods."""

    def setup(self):
        self.encoder = [nn.Dense(3), nn.Dense(2)]
        self.heads = {"mean": nn.Dense(1), "scale": nn.Dense(1)}

    def encode(self, x):
        for layer in self.encoder:
            x = jnp.tanh(layer(x))
        return x

    def __call__(self, x):
        hidden = self.encode(x)
        return {name: head(hidden) for name, head in self.heads.items()}


class Tied(nn.Module):
    """One submodule that is called twice, and handed to another module."""

    @nn.compact
    def __call__(self, x):
        dense = nn.Dense(4)
        return Applies(dense)(jnp.tanh(dense(x)))


class Applies(nn.Module):
    """A module whose field is a module."""

    inner: nn.Module

    def __call__(self, x):
        return self.inner(x)


class SharesScope(nn.Module):
    """Low-rank adaptation whose params stand beside those of the layer that it adapts."""

    def setup(self):
        self.base = nn.Dense(3)
        nn.share_scope(self, self.base)
        self.down, self.up = nn.Dense(1, use_bias=False), nn.Dense(3, use_bias=False)

    def __call__(self, x):
        return self.base(x) + self.up(self.down(x))


class NoWrap(nn.Module):
    """A helper that makes submodules without a scope of its own."""

    features: int = 3

    @nn.nowrap
    def make_layer(self, name):
        return nn.Dense(self.features, name=name)

    @nn.compact
    def __call__(self, x):
        return self.make_layer("second")(self.make_layer("first")(x))


class CompactScopes(nn.Module):
    """Methods with a scope each."""

    @nn.compact_name_scope
    def up(self, x):
        return nn.Dense(5)(x)

    @nn.compact_name_scope
    def down(self, x):
        return nn.Dense(4)(x)

    def __call__(self, x):
        return self.down(self.up(x))


class Base(nn.Module):
    """A field, and a method that others extend."""

    features: int

    @nn.compact
    def __call__(self, x):
        return self.project(x)

    def project(self, x):
        return nn.Dense(self.features, name="project")(x)


class Derived(Base):
    """A field with a default, a keyword-only one, a field that is no argument."""

    gain: float = 2.0
    options: dict[str, Any] = flax.struct.field(default_factory=dict, kw_only=True)

    def project(self, x):
        scale = self.options.get("scale", 1.0)
        return self.gain * scale * super().project(x)


class OwnDtypes(nn.Module):
    """A param of one dtype, used in float32."""

    dtype: str

    @nn.compact
    def __call__(self, x):
        table = self.param("table", lambda key, shape: jnp.ones(shape, self.dtype), (4,))
        y = x * jnp.real(table).astype(jnp.float32)
        return nn.Dense(2)(y)


DTYPES = ("float16", "bfloat16", "complex64", "int32", "bool")


ENTRIES: tuple[Entry, ...] = (
    feature(SetUp, "setup"),
    feature(Tied, "tied_submodules"),
    feature(lambda: Applies(nn.Dense(3)), "submodule_field"),
    feature(SharesScope, "share_scope"),
    feature(NoWrap, "nowrap"),
    feature(CompactScopes, "compact_name_scope"),
    feature(lambda: Derived(3, 0.5, options={"scale": 3.0}), "dataclass_inheritance"),
    *(
        feature(lambda dtype=dtype: OwnDtypes(dtype), "param_dtypes", name=f"Params_{dtype}")
        for dtype in DTYPES
    ),
    feature(
        lambda: nn.Dense(3, param_dtype=jnp.float16, dtype=jnp.float16),
        "half_precision",
        normal(2, 4, dtype="float16"),
        name="HalfDense",
    ),
    feature(
        lambda: nn.Dense(3, param_dtype=jnp.bfloat16),
        "half_precision",
        normal(2, 4, dtype="bfloat16"),
        name="BrainDense",
    ),
    feature(
        lambda: nn.Dense(3, dtype=jnp.complex64, param_dtype=jnp.complex64),
        "complex",
        name="ComplexDense",
    ),
)
