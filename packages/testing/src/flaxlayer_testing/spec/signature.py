"""What the methods of a module take, and its Python text (T1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flaxlayer_testing.spec.spec import Flag, ModuleSpec

__all__ = ["Signature", "call_text"]


@dataclass(frozen=True)
class Signature:
    """What a method takes beside `self`.

    Attributes:
        arrays: How many arrays it takes one by one; 0 where they come in one pytree.
        mask: Whether it takes a `mask`.
        flag: Its training argument.
    """

    arrays: int
    mask: bool = False
    flag: Flag | None = None

    @classmethod
    def of(cls, spec: ModuleSpec) -> Signature:
        """Returns the signature of a spec's methods."""
        tree = spec.arguments != "positional"
        return cls(0 if tree else len(spec.inputs) - spec.mask, spec.mask, spec.flag)

    @property
    def _arrays(self) -> list[str]:
        return [f"x{number}" for number in range(self.arrays)] or ["inputs"]

    @property
    def parameters(self) -> str:
        """The text of the parameters after `self`."""
        flag = self.flag
        optional = flag is None or flag.keyword_only or flag.default is not None
        mask = ["mask=None" if optional else "mask"] if self.mask else []
        return ", ".join([*self._arrays, *mask, *(_flag_parameters(flag) if flag else [])])

    @property
    def call(self) -> str:
        """The text of the arguments that hand all parameters on."""
        mask = ["mask"] if self.mask else []
        return call_text([*self._arrays, *mask], self.flag, self.flag.name if self.flag else "")


def _flag_parameters(flag: Flag) -> list[str]:
    default = "" if flag.default is None else f"={flag.default}"
    return [*(["*"] if flag.keyword_only else []), flag.name + default]


def call_text(inputs: Sequence[str], flag: Flag | None, value: str) -> str:
    """Returns the text of arguments with those of the mode."""
    return ", ".join([*inputs, *([f"{flag.name}={value}"] if flag else [])])
