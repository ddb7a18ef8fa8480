"""The plain fields of a stored configuration, checked before anything is made of them (S3)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from flaxlayer.settings import PLATFORMS, STATE_UPDATES
from flaxlayer_core import DecodeModuleError, Limits, shorten

__all__ = ["check_fields", "check_known", "check_mapping", "check_size", "count_values", "refuse"]

_LONGEST = 1024
_MOST_NAMES = 10_000
_LIMITS = Limits()


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def _is_name(value: Any) -> bool:
    return _is_text(value) and "/" not in value


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return _is_short(value) and all(map(_is_text, value))


def _is_short(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) <= _MOST_NAMES


def _is_some_of(choices: Iterable[str]) -> Callable[[Any], bool]:
    return lambda value: _is_names(value) and bool(value) and set(value) <= set(choices)


def _or_none(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or accepts(value)


def _is_seed(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**32


def _is_name_mapping(value: Any) -> bool:
    is_short = isinstance(value, Mapping) and len(value) <= _MOST_NAMES
    return is_short and all(map(_is_text, (*value, *value.values())))


_NAMES = "a list of short strings"
_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "name": (_or_none(_is_name), "a short string without a slash"),
        "trainable": (_is_flag, "true or false"),
        "explicit_dtype": (_is_flag, "true or false"),
        "training_arg": (_or_none(_is_text), "a short string or null"),
        "rng_args": (_is_name_mapping, "an object of short strings"),
        "mask_arg": (_or_none(_is_text), "a short string or null"),
        "sharing": (_or_none(_is_text), "a short string or null"),
        "state_updates": (lambda value: value in STATE_UPDATES, f"one of {STATE_UPDATES}"),
        "seed": (_or_none(_is_seed), "null, or an integer from 0 to 2**32 - 1"),
        "rngs": (_or_none(_is_names), f"{_NAMES} or null"),
        "native_serialization_platforms": (
            _or_none(_is_some_of(PLATFORMS)),
            f"null, or some of {PLATFORMS}",
        ),
        "return_sown": (_is_names, _NAMES),
        "losses": (_is_names, _NAMES),
        "frozen": (_is_names, _NAMES),
        "collections.trainable": (_is_names, _NAMES),
        "collections.state": (_is_names, _NAMES),
        "collections.transient": (_is_names, _NAMES),
    }
)


def check_fields(config: Any) -> dict[str, Any]:
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
    for name, (accepts, expected) in _FIELDS.items():
        if name in known and not accepts(known[name]):
            raise refuse(name, expected=expected, found=known[name])
    return known


def check_known(config: Mapping[str, Any], known: Iterable[str], cls: type, base: type) -> None:
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
            "unknown keys", expected=", ".join(sorted(known)), found=sorted(unknown, key=len)
        )


def _own_arguments(cls: type, base: type) -> set[str]:
    own = cls.__mro__[: cls.__mro__.index(base)]
    made = [vars(each)["__init__"] for each in own if "__init__" in vars(each)]
    return {name for function in made for name in inspect.signature(function).parameters}


def check_mapping(config: Any, path: str) -> dict[str, Any]:
    """Returns a copy of a mapping with string keys.

    Raises:
        DecodeModuleError: If it is something else.
    """
    if isinstance(config, Mapping) and all(isinstance(key, str) for key in config):
        return dict(config)
    raise refuse(path, expected="an object with string keys", found=config)


def check_size(config: Any, path: str) -> None:
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


def _keys(value: Any) -> Iterable[Any]:
    return value if isinstance(value, Mapping) else ()


def _is_huge(value: Any) -> bool:
    return isinstance(value, int) and value.bit_length() > _LIMITS.integer_bits


def refuse(path: str, *, expected: str, found: Any) -> DecodeModuleError:
    """Returns the error for one part of a configuration.

    Args:
        path: The part.
        expected: What may stand there.
        found: What stands there; a text is quoted, an error is told.

    Returns:
        The error, to be raised.
    """
    return DecodeModuleError(
        f"The stored configuration of a layer is refused: {path}.",
        expected=expected,
        found=shorten(found),
        fix="Save the model again, and check where the file comes from.",
        law="S3",
    )
