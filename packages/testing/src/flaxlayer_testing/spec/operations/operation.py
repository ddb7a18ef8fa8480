"""What an operation is: when it applies, what it makes, what it touches, how it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import jax.numpy as jnp

from flaxlayer_testing.spec.operations.forms import Form
from flaxlayer_testing.spec.spec import Json, Options, ValueType

__all__ = [
    "VOCABULARY",
    "Choices",
    "Operation",
    "Part",
    "Topic",
    "Traits",
    "Types",
    "integer",
    "is_float",
    "is_token",
    "promote",
    "shows",
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
        traits: What else it does.
        forms: How each framework that has it does it, by the name of the framework.
        compact: Whether it makes variables of the module itself, which is for compact methods only.
        fixed: How many trailing dimensions of its arguments may not change once its variables are
            made; -1 for all, the batch included.
        arity: How many arguments it takes.
        weight: How often it is drawn, beside the others.
        needs: The name in `flax.linen` that it needs and that not every version has.
    """

    name: str
    choices: Callable[[Types], Choices | None]
    results: Callable[[Types, Options], tuple[ValueType, ...]]
    traits: Callable[[Options], Traits]
    forms: Mapping[str, Form]
    compact: bool = False
    fixed: Callable[[Options], int] = lambda _: 1
    arity: int = 1
    weight: int = 1
    needs: str = ""

    @property
    def is_layer(self) -> bool:
        """Whether it is a layer that can be called again, in each framework that has it."""
        return all(form.make is not None for form in self.forms.values())


Topic = Literal["arrays", "layers", "sequences", "transforms", "variables"]
"""What a feature of an operation is about."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """The operations of one file of this room.

    Attributes:
        operations: The operations, the simplest first.
        features: What each feature that they show is, by its topic and name; those of other files
            may be shown, too.
        place: Where they stand among those of all files.
    """

    operations: tuple[Operation, ...]
    features: Mapping[Topic, Mapping[str, str]]
    place: int = 100


def is_float(value: ValueType) -> bool:
    """Tells whether a value is floating point, half precision included."""
    return bool(jnp.issubdtype(jnp.dtype(value.dtype), jnp.floating))


def is_token(value: ValueType) -> bool:
    """Tells whether a value is token ids."""
    return value.dtype == "int32"


def promote(value: ValueType, dtype: Json) -> str:
    """Returns the dtype of a value that met a parameter of `dtype`, as linen promotes them."""
    return str(jnp.promote_types(value.dtype, str(dtype)))


def integer(value: Json) -> int:
    """Returns an option that is an integer."""
    assert isinstance(value, int)
    return value


def shows(*features: str) -> Callable[[Options], Traits]:
    """Returns the traits of an operation that only shows features."""
    traits = Traits(features=frozenset(features))
    return lambda _: traits


def with_features(traits: Traits, *features: str) -> Traits:
    """Returns traits with more features."""
    return replace(traits, features=traits.features | set(features))
