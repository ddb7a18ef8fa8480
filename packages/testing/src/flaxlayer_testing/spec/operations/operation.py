"""What an operation is: when it applies, what it makes, what it touches, and its Python text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp

from flaxlayer_testing.spec.spec import Json, Options, ValueType

__all__ = [
    "VOCABULARY",
    "Choices",
    "Operation",
    "Site",
    "Traits",
    "Types",
    "constructor",
    "dtype_text",
    "integer",
    "is_float",
    "is_token",
    "keywords_text",
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


MODES: Mapping[str, bool] = {
    "deterministic": False,
    "use_running_average": False,
    "update_stats": True,
}
"""What linen layers call the mode; False where the name means inference."""


def _plain_arguments(site: Site) -> str:
    return ", ".join(site.args)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One entry of the registry.

    The text of an operation is its only definition: the built module runs it, the printed program
    shows it. It is one expression, or that of a layer which is made in one place and called in
    another, possibly more than once.

    Attributes:
        name: Its name in a spec.
        choices: The options that it may have for arguments of these types; None where it does not
            apply. Options are closed sets, so that a spec that comes from a file is checked whole
            before any text is made from it.
        results: The types of what it makes.
        traits: What else it does.
        text: The Python expression that does it, where it is no layer.
        layer: The Python expression that makes its layer, where it is one.
        arguments: The text of the arguments that the layer is called with.
        mode: What the layer calls the mode in a call, one of `MODES`; empty if it takes none.
        compact: Whether it makes variables of the module itself, which is for compact methods only.
        fixed: How many trailing dimensions of its arguments may not change once its variables are
            made; -1 for all, the batch included.
        arity: How many arguments it takes.
        weight: How often it is drawn, beside the others.
        linen: The name in `flax.linen` that it needs and that not every version has.
    """

    name: str
    choices: Callable[[Types], Choices | None]
    results: Callable[[Types, Options], tuple[ValueType, ...]]
    traits: Callable[[Options], Traits]
    text: Callable[[Site], str] | None = None
    layer: Callable[[Site], str] | None = None
    arguments: Callable[[Site], str] = _plain_arguments
    mode: str = ""
    compact: bool = False
    fixed: Callable[[Options], int] = lambda _: 1
    arity: int = 1
    weight: int = 1
    linen: str = ""

    def expression(self, site: Site, *, layer: str = "") -> str:
        """Returns the Python expression of a node.

        Args:
            site: Where it stands.
            layer: The name of its layer, where that is made elsewhere.

        Returns:
            Python text.
        """
        if self.text is not None:
            return self.text(site)
        assert self.layer is not None
        arguments = self.arguments(site)
        if self.mode:
            value = site.training if MODES[self.mode] else site.inference
            arguments += f", {self.mode}={value}"
        return f"{layer or self.layer(site)}({arguments})"


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


def dtype_text(name: Json) -> str:
    """Returns the Python text of a dtype."""
    return f"jnp.{name}"


def constructor(layer: str, *first: str, **more: str) -> Callable[[Site], str]:
    """Returns what makes the text `nn.Layer(first, option=value, ...)`.

    Args:
        layer: The name of a linen layer.
        *first: Texts of positional arguments.
        **more: Texts of keyword arguments beside the options.

    Returns:
        The text of a layer at a site.
    """

    def text(site: Site) -> str:
        keywords = [f"{key}={value}" for key, value in more.items()]
        return f"nn.{layer}({', '.join([*first, *keywords_text(site.options), *keywords])})"

    return text


def keywords_text(options: Options) -> list[str]:
    """Returns options as the texts of keyword arguments."""
    return [f"{key}={_option_text(key, value)}" for key, value in options.items()]


def _option_text(key: str, value: Json) -> str:
    return dtype_text(value) if key in ("param_dtype", "dtype") else repr(value)


def with_features(traits: Traits, *features: str) -> Traits:
    """Returns traits with more features."""
    return replace(traits, features=traits.features | set(features))
