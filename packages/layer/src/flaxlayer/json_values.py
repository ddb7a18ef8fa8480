"""Plain values of a stored configuration: what they may be, within bounds (S3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flaxlayer.typing import Json

__all__ = [
    "FLAG",
    "NAME",
    "NAMES",
    "PATTERNS",
    "SEED",
    "TEXT",
    "TEXTS_BY_NAME",
    "UNFREEZE",
    "JsonKind",
    "one_of",
    "some_of",
]

_LONGEST = 1024
_MOST_NAMES = 10_000
# The name of a path pattern that ends what patterns before it froze.
UNFREEZE = "unfreeze"


@dataclass(frozen=True)
class JsonKind:
    """A kind of plain values.

    Attributes:
        accepts: Tells whether a value of a file is one.
        expected: What it is, for an error.
    """

    accepts: Callable[[Json], bool]
    expected: str

    def or_none(self, expected: str = "") -> JsonKind:
        """Returns the kind of these values and None.

        Args:
            expected: What they are, for an error.
        """
        accepts = self.accepts
        told = expected or f"{self.expected} or null"
        return JsonKind(lambda value: value is None or accepts(value), told)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def _is_names(value: Json) -> bool:
    is_short = isinstance(value, list | tuple) and len(value) <= _MOST_NAMES
    return is_short and all(map(_is_text, value))


def _is_patterns(value: Json) -> bool:
    is_short = isinstance(value, list | tuple) and len(value) <= _MOST_NAMES
    return is_short and all(map(_is_pattern, value))


def _is_pattern(value: Json) -> bool:
    if isinstance(value, Mapping):
        return set(value) == {UNFREEZE} and _is_text(value[UNFREEZE])
    return _is_text(value)


def _is_mapping_of_texts(value: Json) -> bool:
    is_short = isinstance(value, Mapping) and len(value) <= _MOST_NAMES
    return is_short and all(map(_is_text, (*value, *value.values())))


def one_of(choices: tuple[str, ...]) -> JsonKind:
    """Returns the kind of one of some texts."""
    return JsonKind(lambda value: isinstance(value, str) and value in choices, f"one of {choices}")


def some_of(choices: Iterable[str]) -> JsonKind:
    """Returns the kind of lists of some texts, of one at least."""
    known = set(choices)
    return JsonKind(
        lambda value: _is_names(value) and bool(value) and set(value) <= known,
        f"some of {choices}",
    )


TEXT = JsonKind(_is_text, "a short string")
NAME = JsonKind(
    lambda value: _is_text(value) and "/" not in value, "a short string without a slash"
)
NAMES = JsonKind(_is_names, "a list of short strings")
PATTERNS = JsonKind(_is_patterns, f"a list of short strings, and of objects of one as {UNFREEZE!r}")
FLAG = JsonKind(lambda value: isinstance(value, bool), "true or false")
SEED = JsonKind(
    lambda value: type(value) is int and 0 <= value < 2**32, "an integer from 0 to 2**32 - 1"
)
TEXTS_BY_NAME = JsonKind(_is_mapping_of_texts, "an object of short strings")
