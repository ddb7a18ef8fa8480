"""What an operation is: when it applies, what it makes, what it touches, and its Python text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp

from flaxlayer_testing.specs import Json, Options, ValueType

__all__ = [
    "VOCABULARY",
    "Choices",
    "Operation",
    "Site",
    "Traits",
    "constructor",
    "dtype_text",
    "is_float",
    "promote",
    "with_features",
]

VOCABULARY = 5
"""Integer values are token ids: at least 0 and below this."""

Choices = Mapping[str, tuple[Json, ...]]
"""The values that each option may have, the simplest first."""

Types = Sequence[ValueType]


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What an operation does beside computing its result: the truth that discovery must find.

    Attributes:
        features: Names of the features that it shows.
        trainable: Whether it makes `params`.
        state: Collections that it keeps (C2).
        transient: Collections that it sows (C2).
        training_streams: Rng streams that it draws from in training only (R1).
        always_streams: Rng streams that it draws from in both modes (R1).
        uses_flag: Whether it needs to know the mode (A2).
    """

    features: frozenset[str] = frozenset()
    trainable: bool = False
    state: frozenset[str] = frozenset()
    transient: frozenset[str] = frozenset()
    training_streams: frozenset[str] = frozenset()
    always_streams: frozenset[str] = frozenset()
    uses_flag: bool = False

    def __or__(self, other: Traits) -> Traits:
        """Returns the traits of two operations together."""
        names = Traits.__dataclass_fields__
        return Traits(**{name: getattr(self, name) | getattr(other, name) for name in names})

    def streams(self, training: bool) -> frozenset[str]:
        """Returns the rng streams that are drawn from in a mode (R1)."""
        return self.always_streams | (self.training_streams if training else frozenset())


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where the text of an operation stands: what it may refer to.

    Attributes:
        args: Python names of the arguments.
        options: Options of the node.
        index: Number of its first result, for names of variables.
        training: Python expression that is true in training.
        inference: Python expression that is true at inference.
    """

    args: tuple[str, ...]
    options: Options
    index: int
    training: str = "True"
    inference: str = "False"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One entry of the registry.

    The text of an operation is its only definition: the built module runs it, the printed program
    shows it.

    Attributes:
        name: Its name in a spec.
        choices: The options that it may have for arguments of these types; None where it does not
            apply. Options are closed sets, so that a spec that comes from a file is checked whole
            before any text is made from it.
        results: The types of what it makes.
        text: The Python expression that does it.
        traits: What else it does.
        arity: How many arguments it takes.
        weight: How often it is drawn, beside the others.
    """

    name: str
    choices: Callable[[Types], Choices | None]
    results: Callable[[Types, Options], tuple[ValueType, ...]]
    text: Callable[[Site], str]
    traits: Callable[[Options], Traits]
    arity: int = 1
    weight: int = 1


def is_float(value: ValueType) -> bool:
    """Tells whether a value is floating point, half precision included."""
    return jnp.issubdtype(jnp.dtype(value.dtype), jnp.floating)


def promote(value: ValueType, dtype: Json) -> str:
    """Returns the dtype of a value that met a parameter of `dtype`, as linen promotes them."""
    return str(jnp.promote_types(value.dtype, str(dtype)))


def dtype_text(name: Json) -> str:
    """Returns the Python text of a dtype."""
    return f"jnp.{name}"


def constructor(layer: str, site: Site, *first: str, **more: str) -> str:
    """Returns the text `nn.Layer(first, option=value, ...)(args)`."""
    options = {key: _option_text(key, value) for key, value in site.options.items()}
    keywords = [f"{key}={value}" for key, value in {**options, **more}.items()]
    return f"nn.{layer}({', '.join([*first, *keywords])})({', '.join(site.args)})"


def _option_text(key: str, value: Json) -> str:
    return dtype_text(value) if key == "param_dtype" else repr(value)


def with_features(traits: Traits, *features: str) -> Traits:
    """Returns traits with more features."""
    return replace(traits, features=traits.features | set(features))
