"""Parameters of a method beside its arrays, its mask and its training argument (A1, R5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["EXTRA_KINDS", "GIVEN_ARRAY", "Extra", "ExtraKind", "Given"]

Given = bool | int | str | None
"""What a case gives for an extra parameter: plain data, of which the argument is made."""

GIVEN_ARRAY = "array"
"""Stands for an array of the size of the batch."""


@dataclass(frozen=True, kw_only=True)
class ExtraKind:
    """What an extra parameter may be.

    Attributes:
        name: The name of the parameter.
        values: What a case may give for it, the simplest first; none where the layer fills it.
        default: The Python text of its default, where it has one.
        text: The Python text that makes of a value `{y}` and the parameter another value.
        value: The Python text of what is given, where that is not its `repr`.
        annotation: The Python text of its annotation, if it needs one.
        optional_annotation: The same where it has a default.
        feature: The feature that it shows.
        about: What that is.
        stream: The stream of the random keys that the layer fills it with (R5).
        as_rngs: Whether it gets an `nnx.Rngs`, not a key.
        only: The framework that alone has it, if one has; empty if each has.
    """

    name: str
    values: tuple[Given, ...]
    default: str
    text: str
    feature: str
    about: str
    value: str = "{given!r}"
    annotation: str = ""
    optional_annotation: str = ""
    stream: str = ""
    as_rngs: bool = False
    only: str = ""


_KINDS = (
    ExtraKind(
        name="function",
        values=("tanh", "sin"),
        default="'tanh'",
        text="apply_function({y}, function)",
        feature="text_argument",
        about="a static str as an argument",
    ),
    ExtraKind(
        name="times",
        values=(1, 0, 2),
        default="1",
        text="halve({y}, times)",
        feature="number_argument",
        about="a static integer as an argument",
    ),
    ExtraKind(
        name="side",
        values=("LEFT", "RIGHT"),
        default="Side.LEFT",
        text="turn({y}, side)",
        feature="enum_argument",
        about="a static enum as an argument",
        value="Side.{given}",
    ),
    ExtraKind(
        name="shifted",
        values=(False, True),
        default="False",
        text="{y} + 1 if shifted else {y}",
        feature="switch_argument",
        about="a static bool as an argument that is no training argument",
    ),
    ExtraKind(
        name="bias",
        values=(GIVEN_ARRAY, None),
        default="None",
        text="{y} if bias is None else add_rows({y}, bias)",
        feature="array_argument",
        about="an array that may be None, beside the inputs",
    ),
    ExtraKind(
        name="key",
        values=(0, 1, 2),
        default="None",
        text="{y} if key is None else add_noise({y}, key)",
        feature="key_argument",
        about="a typed random key as an argument",
        value="jax.random.key({given})",
    ),
    ExtraKind(
        name="noise_key",
        values=(),
        default="None",
        text="{y} if noise_key is None else add_noise({y}, noise_key)",
        feature="supplied_key_argument",
        about="an argument that gets a random key from the layer",
        stream="argument",
    ),
    ExtraKind(
        name="rngs",
        values=(),
        default="None",
        text="{y} if rngs is None else add_noise({y}, rngs.supplied())",
        feature="supplied_rngs_argument",
        about="an argument that gets an nnx.Rngs from the layer",
        annotation="nnx.Rngs",
        optional_annotation="nnx.Rngs | None",
        stream="supplied",
        as_rngs=True,
        only="nnx",
    ),
)

EXTRA_KINDS: Mapping[str, ExtraKind] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""Every extra parameter by its name, the simplest first."""


@dataclass(frozen=True)
class Extra:
    """An extra parameter of a method.

    Attributes:
        name: Which it is, one of `EXTRA_KINDS`.
        keyword_only: Whether it can be given by keyword only.
        optional: Whether it has a default.
    """

    name: str
    keyword_only: bool = False
    optional: bool = False

    @property
    def kind(self) -> ExtraKind:
        """What it is."""
        return EXTRA_KINDS[self.name]

    @property
    def positional(self) -> bool:
        """Whether a call gives it by its position: where it need not be given, it has a name."""
        return not (self.keyword_only or self.optional or self.kind.stream)

    @property
    def parameter(self) -> str:
        """The text of the parameter."""
        kind = self.kind
        annotation = kind.optional_annotation if self.optional else kind.annotation
        text = f"{self.name}: {annotation}" if annotation else self.name
        if not self.optional:
            return text
        return f"{text} = {kind.default}" if annotation else f"{text}={kind.default}"
