"""The plain fields of a stored configuration, checked before anything is made of them (S3)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from flaxlayer.json_values import FLAG, NAME, NAMES, PATTERNS, TEXT, JsonKind
from flaxlayer.settings import PLAIN_SETTINGS
from flaxlayer.typing import Json
from flaxlayer_core import DecodeModuleError, Limits, shorten

__all__ = [
    "SAVE_AGAIN",
    "check_fields",
    "check_known",
    "check_mapping",
    "check_size",
    "count_values",
    "refuse",
]

SAVE_AGAIN = "Save the model again, and check where the file comes from."
"""What to do with a configuration that is refused."""
_LIMITS = Limits()
# What a file holds of a layer beside its settings.
_FIELDS: Mapping[str, JsonKind] = MappingProxyType(
    {
        "name": NAME.or_none(NAME.expected),
        "trainable": FLAG,
        "explicit_dtype": FLAG,
        "sharing": TEXT.or_none(),
        "frozen": PATTERNS,
        "collections.trainable": NAMES,
        "collections.state": NAMES,
        "collections.transient": NAMES,
        **PLAIN_SETTINGS,
    }
)


def check_fields(config: Json) -> dict[str, Json]:
    """Returns a copy of a layer's configuration whose plain fields have the right types.

    Args:
        config: What a file has for the layer.

    Returns:
        A dict with string keys.

    Raises:
        DecodeModuleError: If it is no mapping, or a field is of another type; it names the field.

    Example:

    ```python
    >>> check_fields({"name": "dense", "trainable": True})
    {'name': 'dense', 'trainable': True}

    ```
    """
    known = check_mapping(config, "the configuration")
    for name, kind in _FIELDS.items():
        if name in known and not kind.accepts(known[name]):
            raise refuse(name, expected=kind.expected, found=known[name])
    return known


def check_known(config: Mapping[str, Json], known: Iterable[str], cls: type, base: type) -> None:
    """Refuses a configuration with keys that a layer has not.

    Args:
        config: The configuration.
        known: The keys that `base` stores.
        cls: The class of the layer; what its own constructor names, a subclass may store.
        base: The class of ours that it inherits from.

    Raises:
        DecodeModuleError: If there are others; it names some of them.
    """
    unknown = config.keys() - set(known) - _own_arguments(cls, base)
    if unknown:
        raise refuse(
            "unknown keys",
            expected=", ".join(sorted(known)),
            found=sorted(unknown, key=len),
            fix="Leave them out, or take them in the constructor of a subclass. "
            "Where they stand in a file, save the model again.",
        )


def _own_arguments(cls: type, base: type) -> set[str]:
    own = cls.__mro__[: cls.__mro__.index(base)]
    made = [vars(each)["__init__"] for each in own if "__init__" in vars(each)]
    return {name for function in made for name in inspect.signature(function).parameters}


def check_mapping(config: Json, path: str) -> dict[str, Json]:
    """Returns a copy of a mapping with string keys.

    Raises:
        DecodeModuleError: If it is something else.
    """
    if isinstance(config, Mapping) and all(isinstance(key, str) for key in config):
        return dict(config)
    raise refuse(path, expected="an object with string keys", found=config)


def check_size(config: Json, path: str) -> None:
    """Refuses a part of a configuration that is too deep or too large to be given to a user's code.

    Raises:
        DecodeModuleError: If it is.
    """
    pending, seen = [(config, 0)], 0
    while pending:
        value, depth = pending.pop()
        parts = [*value.values()] if isinstance(value, Mapping) else value
        inner = parts if isinstance(parts, list | tuple) else ()
        texts = [each for each in (value, *_keys(value)) if isinstance(each, str)]
        seen += 1
        if depth > _LIMITS.depth or seen + len(pending) + len(inner) > _LIMITS.nodes:
            expected = f"at most {_LIMITS.depth} levels and {_LIMITS.nodes} values"
            raise refuse(path, expected=expected, found="more")
        if any(len(text) > _LIMITS.string for text in texts) or _is_huge(value):
            most = f"{_LIMITS.string} characters and integers of {_LIMITS.integer_bits} bits"
            expected = f"texts of at most {most}"
            raise refuse(path, expected=expected, found="more")
        pending.extend((each, depth + 1) for each in inner)


def count_values(content: bytes) -> int:
    """Returns about how many values a JSON text has, before it is parsed.

    Parsed, the empty lists of two bytes each take thirty times as much.
    """
    return sum(map(content.count, (b",", b"[", b"{")))


def _keys(value: object) -> Iterable[Any]:
    return value if isinstance(value, Mapping) else ()


def _is_huge(value: object) -> bool:
    return isinstance(value, int) and value.bit_length() > _LIMITS.integer_bits


def refuse(path: str, *, expected: str, found: object, fix: str = SAVE_AGAIN) -> DecodeModuleError:
    """Returns the error for one part of a configuration.

    Args:
        path: The part.
        expected: What may stand there.
        found: What stands there; a text is quoted, an error is told.
        fix: What to do.

    Returns:
        The error, to be raised.
    """
    return DecodeModuleError(
        f"The stored configuration of a layer is refused: {path}.",
        expected=expected,
        found=shorten(found),
        fix=fix,
        law="S3",
    )
