"""An entry of the field: a module that somebody has published, built tiny (T12)."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer import FlaxLayer
from flaxlayer_testing import ExpectedFailure, Subject

__all__ = ["SCENARIO", "Published", "first_output", "integers", "load", "normal", "on"]

SCENARIO = "scenario"
"""The name of the scenario among the checks of an entry."""

DOMAINS = (
    "audio",
    "biology",
    "diffusion",
    "flows and transport",
    "graphs",
    "language",
    "physics",
    "reinforcement learning",
    "sequences",
    "vision",
    "other",
)


def normal(*shape: int, seed: int = 7) -> np.ndarray:
    """Returns a fixed array of standard normal values."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def integers(*shape: int, below: int) -> np.ndarray:
    """Returns a fixed array of integers, such as tokens."""
    return np.random.default_rng(7).integers(0, below, shape).astype(np.int32)


def load(name: str) -> Any:
    """Returns what a name stands for; a package is imported when one of its modules is made.

    Args:
        name: `package.module:Name`, of an attribute or of one of a class.
    """
    home, _, attributes = name.partition(":")
    found = importlib.import_module(home)
    for attribute in attributes.split("."):
        found = getattr(found, attribute)
    return found


def first_output(outputs: Any) -> Any:
    """Returns the first floating output that has rows."""
    for leaf in jax.tree_util.tree_leaves(outputs):
        if leaf.ndim and jnp.issubdtype(jnp.dtype(leaf.dtype), jnp.floating):
            return leaf
    message = "no floating output has rows"
    raise TypeError(message)


@dataclass(frozen=True)
class Published:
    """A module of a package from the registry.

    Attributes:
        package: The name of the distribution.
        kind: The class, as `package.module:Name`.
        domain: What it is for, one of `DOMAINS`.
        make: Takes the class; returns the module, which may be a `functools.partial` of an nnx
            class, its positional arguments and, optionally, its keyword arguments.
        name: A name, where the class has more than one entry.
        registers: What else a process that loads a model has to register.
        pick: What of the output the scenario goes on with.
        settings: Arguments of the layer.
        training_arg: The training argument of the method where its name is not customary (A2).
        known: Checks that are known to fail, and the scenario (T6); see `on`.
    """

    package: str
    kind: str
    domain: str
    make: Callable[[Any], tuple[Any, ...]]
    name: str = ""
    registers: tuple[str, ...] = ()
    pick: Callable[[Any], Any] = first_output
    settings: Mapping[str, Any] = field(default_factory=dict)
    training_arg: str | None = None
    known: Mapping[str, Sequence[ExpectedFailure]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its name in the field."""
        return f"{self.package} {self.name or self.kind.rpartition(':')[2]}"

    @property
    def ident(self) -> str:
        """Its title as an identifier of a test."""
        return self.title.replace(" ", "-")

    @property
    def names(self) -> tuple[str, ...]:
        """What a process that loads a model of it has to register."""
        return (self.kind, *self.registers)

    def subject(self) -> Subject:
        """Returns what the checks take."""
        module, inputs, *arguments = self.make(load(self.kind))
        return Subject(
            module,
            tuple(inputs),
            arguments[0] if arguments else {},
            seed=zlib.crc32(self.title.encode()) % 1000,
            layer=partial(FlaxLayer, **self.settings) if self.settings else FlaxLayer,
            training_arg=self.training_arg,
            name=self.title,
            features=(self.domain,),
        )

    def known_on(self, backend: str) -> tuple[ExpectedFailure, ...]:
        """Returns the failures that are known on a backend of Keras."""
        return (*self.known.get("", ()), *self.known.get(backend, ()))


def on(
    *failures: ExpectedFailure,
    jax: Sequence[ExpectedFailure] = (),
    tensorflow: Sequence[ExpectedFailure] = (),
) -> Mapping[str, Sequence[ExpectedFailure]]:
    """Returns known failures by backend: those of all, and those of one alone."""
    return {"": failures, "jax": jax, "tensorflow": tensorflow}
