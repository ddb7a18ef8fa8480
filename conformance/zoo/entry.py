"""An entry of the zoo: a module with inputs, what it stands for, and what is known to fail (T6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from flaxlayer import FlaxLayer
from flaxlayer_testing import ExpectedFailure
from flaxlayer_testing.oracle.roles import TRANSIENT

__all__ = ["TOKENS", "Entry", "X", "feature", "linen", "normal", "tokens", "transform"]

Made = tuple[Any, tuple[Any, ...]] | tuple[Any, tuple[Any, ...], dict[str, Any]]


def normal(*shape, dtype="float32"):
    """Returns a fixed array of standard normal values."""
    return np.random.default_rng(7).standard_normal(shape).astype(jnp.dtype(dtype))


def tokens(*shape, below=5):
    """Returns a fixed array of token ids."""
    return np.random.default_rng(7).integers(0, below, shape).astype(np.int32)


X = normal(2, 4)
TOKENS = tokens(2, 3)


@dataclass(frozen=True)
class Entry:
    """A module that stands for something that the layer has to run.

    Attributes:
        name: Its name, unique in the zoo.
        covers: What it stands for: `linen.<class>`, `transform.<name>`, `law.<law>`, or
            `feature.<name>`.
        make: Returns the module, its positional and its keyword arguments.
        known: Checks that are known to fail, each with its reason (T6).
        settings: Arguments of the layer.
        training_arg: The training argument of the method where its name is not customary (A2).
        probe: A program for what no check of the list reaches; it raises where a law is broken.
        transient: Collections that belong to one call by their name (C2).
    """

    name: str
    covers: tuple[str, ...]
    make: Callable[[], Made]
    known: tuple[ExpectedFailure, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    training_arg: str | None = None
    probe: Callable[[], None] | None = None
    transient: tuple[str, ...] = TRANSIENT

    @property
    def layer(self) -> Callable[..., Any]:
        """The factory of the layer under test."""
        return partial(FlaxLayer, **self.settings) if self.settings else FlaxLayer


def linen(module, *inputs, covers=None, name="", **options):
    """Returns the entry of a stock layer of Flax, which covers its class unless told otherwise.

    Args:
        module: Makes the module.
        *inputs: Positional arguments of its method.
        covers: What it stands for; the class of the module if not given.
        name: Its name; that of the class if not given.
        **options: Fields of the entry; `arguments` are the keyword arguments of the method.
    """
    kind = type(module()).__name__
    arguments = options.pop("arguments", {})
    covered = covers or (f"linen.{kind}",)
    return Entry(name or kind, covered, lambda: (module(), inputs, arguments), **options)


def transform(module, *transforms, inputs=(X,), **options):
    """Returns the entry of lifted transforms, as `linen` does."""
    covers = tuple(f"transform.{name}" for name in transforms)
    return linen(module, *inputs, covers=covers, **options)


def feature(module, topic, *inputs, **options):
    """Returns the entry of a feature, as `linen` does."""
    covers = (f"feature.{topic}", *options.pop("also", ()))
    return linen(module, *(inputs or (X,)), covers=covers, **options)
