"""The codecs by which an object of a user's class tells what it holds and is made again (S1)."""

from __future__ import annotations

__all__ = [
    "Codec",
    "codec_named",
    "codecs_of",
    "has_codec",
    "registered_codec",
    "set_codec",
]

import dataclasses
import enum
import inspect
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import flax.linen as nn
import jax
import numpy as np
from flax import nnx
from flax.core import FrozenDict

from flaxlayer_core.typing import Leaf

_CODED = "registered"
_NOT_CONFIGURATIONS = (nn.Module, nnx.Module, nnx.Variable, jax.Array, np.ndarray, enum.Enum)


@dataclass(frozen=True)
class Codec:
    """One way to store an object: as another value, from which its class makes it again.

    Args:
        name: How files name it.
        offers: Whether a class has it.
        take: From an object to the value that is stored in its place.
        make: From the class and that value to an object.
        structural: Whether the value is all that the object holds, by Python's own rules.
    """

    name: str
    offers: Callable[[type], bool]
    take: Callable[[Leaf], object]
    make: Callable[[type, Leaf], object]
    structural: bool = False


def _has(cls: type, *names: str) -> bool:
    return all(inspect.getattr_static(cls, name, None) is not None for name in names)


def _call(cls: type, arguments: Leaf) -> object:
    return cls(**arguments)


def _pair(taker: str, maker: str) -> Codec:
    """What `taker()` returns goes to `maker`, or to the constructor of a class without it."""

    def offers(cls: type) -> bool:
        # What tells its fields by itself must have both, written for each other.
        return _has(cls, taker) and (_has(cls, maker) or not _tells_itself(cls))

    def make(cls: type, value: object) -> object:
        return getattr(cls, maker)(value) if _has(cls, maker) else _call(cls, value)

    return Codec(taker, offers, lambda value: getattr(value, taker)(), make)


def _is_attrs(cls: type) -> bool:
    return _has(cls, "__attrs_attrs__")


def _take_attrs(value: Leaf) -> dict[str, object]:
    held = {field: getattr(value, field.name) for field in type(value).__attrs_attrs__}
    return {
        getattr(field, "alias", None) or field.name.lstrip("_"): item
        for field, item in held.items()
        if field.init and item is not field.default
    }


def _is_pydantic(cls: type) -> bool:
    return _has(cls, "__pydantic_validator__", "model_fields", "model_validate")


def _take_pydantic(value: Leaf) -> dict[str, object]:
    fields, chosen = type(value).model_fields, value.model_fields_set
    held = {name: getattr(value, name) for name in fields}
    kept = {
        name: item
        for name, item in held.items()
        if name in chosen or item is not fields[name].default
    }
    return kept | (value.model_extra or {})


def _make_pydantic(cls: Leaf, value: Mapping[str, object]) -> object:
    return cls.model_validate({_alias(cls, name): item for name, item in value.items()})


def _alias(cls: Leaf, name: str) -> str:
    field = cls.model_fields.get(name)
    choices = getattr(field, "validation_alias", None) or getattr(field, "alias", None)
    first = getattr(choices, "choices", [choices])[0]
    return first if isinstance(first, str) else name


def _make_from_dump(cls: Leaf, value: object) -> object:
    return cls.model_validate(value)


def _is_mapping(cls: type) -> bool:
    return issubclass(cls, Mapping) and _is_own(cls)


def _is_collection(cls: type) -> bool:
    return issubclass(cls, (Sequence, Set)) and not issubclass(cls, (str, bytes)) and _is_own(cls)


def _is_own(cls: type) -> bool:
    # What Python has built in is a kind, or none.
    outside = cls.__module__ not in ("builtins", "collections", "types")
    return outside and not issubclass(cls, FrozenDict)


def _take_items(value: Leaf) -> object:
    bases = (tuple, set, frozenset)
    return next((base for base in bases if isinstance(value, base)), list)(value)


_GET_CONFIG = _pair("get_config", "from_config")
_TO_DICT = _pair("to_dict", "from_dict")
_ATTRS = Codec("attrs", _is_attrs, _take_attrs, _call, structural=True)
_PYDANTIC = Codec("pydantic", _is_pydantic, _take_pydantic, _make_pydantic, structural=True)
_MODEL_DUMP = Codec(
    "model_dump", _is_pydantic, lambda value: value.model_dump(mode="json"), _make_from_dump
)
_MAPPING = Codec("mapping", _is_mapping, dict, lambda cls, value: cls(value), structural=True)
_COLLECTION = Codec(
    "items", _is_collection, _take_items, lambda cls, value: cls(value), structural=True
)
# In the order of the specification: what the author of a class wrote for it comes first.
_CODECS = (_GET_CONFIG, _TO_DICT, _ATTRS, _PYDANTIC, _MODEL_DUMP, _MAPPING, _COLLECTION)
_STRUCTURAL = (_ATTRS, _PYDANTIC, _MAPPING, _COLLECTION)
_codecs: dict[type, Codec] = {}


def _tells_itself(cls: type) -> bool:
    return dataclasses.is_dataclass(cls) or any(each.offers(cls) for each in _STRUCTURAL)


def set_codec(
    cls: type, encode: Callable[[Leaf], object], decode: Callable[[Leaf], object]
) -> None:
    """Stores the objects of exactly this class by a pair of functions."""
    _codecs[cls] = Codec(_CODED, lambda _: True, encode, lambda _, value: decode(value))


def registered_codec(cls: type) -> Codec | None:
    """The pair of functions that was registered for a class, before it was defined anew too."""
    if cls in _codecs or not _codecs:
        return _codecs.get(cls)
    names = [(known.__module__, known.__qualname__) for known in _codecs]
    own = (cls.__module__, cls.__qualname__)
    return [*_codecs.values()][names.index(own)] if own in names else None


def codecs_of(cls: type) -> tuple[Codec, ...]:
    """The codecs that a class offers, the first to be preferred; a registered pair alone."""
    codec = registered_codec(cls)
    if codec is not None:
        return (codec,)
    # A layer of Keras, which has weights, is more than its configuration.
    if issubclass(cls, _NOT_CONFIGURATIONS) or _has(cls, "save_own_variables"):
        return ()
    # A named tuple has a kind of its own.
    if cls.__module__ == "builtins" or (issubclass(cls, tuple) and _has(cls, "_fields")):
        return ()
    return tuple(codec for codec in _CODECS if codec.offers(cls))


def has_codec(value: object) -> bool:
    """Whether `value` is a class whose objects are stored by a codec."""
    return isinstance(value, type) and bool(codecs_of(value))


def codec_named(name: object, cls: type) -> Codec | None:
    """The codec of that name, None where the class does not offer it."""
    return next((each for each in codecs_of(cls) if each.name == name), None)
