"""Fields that have their default value are not stored, whatever it is (S1)."""

from __future__ import annotations

__all__ = ["has_default"]

import dataclasses

from flaxlayer_core.config.definitions import same_definition
from flaxlayer_core.config.plain_values import is_plain
from flaxlayer_core.config.walk import Encoder
from flaxlayer_core.errors import EncodeModuleError


def has_default(field: dataclasses.Field[object], value: object, path: str, walk: Encoder) -> bool:
    """Whether a new object would have a value like this one in a field that is left out.

    Args:
        field: The field of a module class or of a dataclass.
        value: What the object holds there.
        path: How messages name it.
        walk: The walk that would store it.

    Returns:
        True for the default itself and what is stored the same. What can be stored and holds
        modules is left out only as the default itself, since it may be shared with another field.
    """
    if field.default is not dataclasses.MISSING:
        return value is field.default or _is_like(value, field.default, path, walk)
    if field.default_factory is dataclasses.MISSING:
        return False
    try:
        made = field.default_factory()
    except Exception:  # a user's function may need what is not there: then the value is stored
        return False
    return _is_like(value, made, path, walk)


def _is_like(value: object, default: object, path: str, walk: Encoder) -> bool:
    if type(value) is not type(default):
        return False
    if is_plain(value) and is_plain(default):
        return repr(value) == repr(default)  # tells -0.0 from 0.0
    try:
        texts = [walk.canonical(each, path) for each in (value, default)]
    except EncodeModuleError:
        return same_definition(value, default)
    return texts[0] == texts[1] and '"$type": "module"' not in texts[0]
