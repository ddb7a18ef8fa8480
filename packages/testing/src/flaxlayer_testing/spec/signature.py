"""What the methods of a module take, and its Python text (T1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from flaxlayer_testing.spec.extras import EXTRA_KINDS, Extra
from flaxlayer_testing.spec.spec import FLAG_NAMES, Flag, ModuleSpec

__all__ = ["Signature", "call_text"]


@dataclass(frozen=True)
class Signature:
    """What a method takes beside `self`.

    Attributes:
        arrays: How many arrays it takes one by one; 0 where they come in one pytree.
        mask: Whether it takes a `mask`.
        flag: Its training argument.
        extras: What else it takes.
    """

    arrays: int
    mask: bool = False
    flag: Flag | None = None
    extras: tuple[Extra, ...] = ()

    @classmethod
    def of(cls, spec: ModuleSpec) -> Signature:
        """Returns the signature of a spec's methods."""
        tree = spec.arguments != "positional"
        arrays = 0 if tree else len(spec.inputs) - spec.mask
        return cls(arrays, spec.mask, spec.flag, spec.extras)

    @classmethod
    def from_name(cls, name: str) -> Signature | None:
        """Returns the signature that has a name, None if there is none."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        arrays, mask, flag, extras = found.groups()
        named = [_EXTRAS[part] for part in re.findall(_EXTRA, extras or "")]
        count = 0 if arrays == "Tree" else int(arrays)
        return cls(count, bool(mask), _FLAGS[flag or ""], tuple(named))

    @property
    def name(self) -> str:
        """A part of the names of classes that says all of it."""
        extras = "".join(map(_extra_name, self.extras))
        parts = [str(self.arrays or "Tree"), "Mask" * self.mask, _flag_name(self.flag), extras]
        return "".join(parts)

    @property
    def _arrays(self) -> list[str]:
        return [f"x{number}" for number in range(self.arrays)] or ["inputs"]

    @property
    def parameters(self) -> str:
        """The text of the parameters after `self`."""
        flag, extras = self.flag, self.extras
        free = [extra for extra in extras if not extra.keyword_only]
        required = [extra.parameter for extra in free if not extra.optional]
        optional = [extra.parameter for extra in free if extra.optional]
        if flag and not flag.keyword_only:
            (required if flag.default is None else optional).append(_flag_parameter(flag))
        mask = ["mask" if required else "mask=None"] if self.mask else []
        named = [extra.parameter for extra in extras if extra.keyword_only]
        named += [_flag_parameter(flag)] if flag and flag.keyword_only else []
        star = ["*"] if named else []
        return ", ".join([*self._arrays, *mask, *required, *optional, *star, *named])

    @property
    def call(self) -> str:
        """The text of the arguments that hand all parameters on."""
        mask = ["mask"] if self.mask else []
        named = [f"{extra.name}={extra.name}" for extra in self.extras]
        return call_text([*self._arrays, *mask, *named], self.flag, _name_of(self.flag))


def _name_of(flag: Flag | None) -> str:
    return flag.name if flag else ""


def _flag_parameter(flag: Flag) -> str:
    return flag.name + ("" if flag.default is None else f"={flag.default}")


def call_text(inputs: Sequence[str], flag: Flag | None, value: str) -> str:
    """Returns the text of arguments with those of the mode."""
    return ", ".join([*inputs, *([f"{flag.name}={value}"] if flag else [])])


# Names of classes: a class is made again from its name alone, when it is unpickled.


def _flag_name(flag: Flag | None) -> str:
    if flag is None:
        return ""
    kind = "Keyword" if flag.keyword_only else ""
    default = "" if flag.default is None else str(flag.default)
    return f"{_title(flag.name)}{kind}{default}"


def _extra_name(extra: Extra) -> str:
    ends = ["Only" * extra.keyword_only, "Optional" * extra.optional]
    return f"With{_title(extra.name)}{''.join(ends)}"


def _title(name: str) -> str:
    return name.title().replace("_", "")


_BOTH = (False, True)
_FLAGS = {
    _flag_name(flag): flag
    for flag in (None, *(Flag(*kind) for kind in product(FLAG_NAMES, _BOTH, (None, *_BOTH))))
}
_EXTRAS = {
    _extra_name(extra): extra
    for extra in (Extra(*kind) for kind in product(EXTRA_KINDS, _BOTH, _BOTH))
}
# The longest first, as some begin like others.
_EXTRA = "|".join(sorted(_EXTRAS, key=len, reverse=True))
_FLAG = "|".join(sorted(filter(None, _FLAGS), key=len, reverse=True))
_NAME = re.compile(rf"(Tree|[1-8])(Mask)?({_FLAG})?((?:{_EXTRA})*)")
