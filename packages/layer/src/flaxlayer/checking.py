"""The plain fields of a stored configuration, checked before anything is made of them (S3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from flaxlayer_core import DecodeModuleError

__all__ = ["check_fields", "check_mapping", "refuse"]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, value))


def _or_none(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or accepts(value)


def _is_seed(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _is_name_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, (*value, *value.values())))


_NAMES = "a list of strings"
_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "name": (_or_none(_is_text), "a string"),
        "trainable": (_is_flag, "true or false"),
        "explicit_dtype": (_is_flag, "true or false"),
        "training_arg": (_or_none(_is_text), "a string or null"),
        "rng_args": (_is_name_mapping, "an object of strings"),
        "mask_arg": (_or_none(_is_text), "a string or null"),
        "sharing": (_or_none(_is_text), "a string or null"),
        "state_updates": (_is_text, "a string"),
        "seed": (_is_seed, "an integer or null"),
        "rngs": (_or_none(_is_names), f"{_NAMES} or null"),
        "native_serialization_platforms": (_or_none(_is_names), f"{_NAMES} or null"),
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


def check_mapping(config: Any, path: str) -> dict[str, Any]:
    """Returns a copy of a mapping with string keys.

    Raises:
        DecodeModuleError: If it is something else.
    """
    if isinstance(config, Mapping) and all(map(_is_text, config)):
        return dict(config)
    raise refuse(path, expected="an object with string keys", found=config)


def refuse(path: str, *, expected: str, found: Any) -> DecodeModuleError:
    """Returns the error for one part of a configuration.

    Args:
        path: The part.
        expected: What may stand there.
        found: What stands there.

    Returns:
        The error, to be raised.
    """
    return DecodeModuleError(
        f"The stored configuration of a layer is refused: {path}.",
        expected=expected,
        found=repr(found)[:200],
        fix="Save the model again, and check where the file comes from.",
        law="S3",
    )
