"""Kinds that are a class and its fields: modules, dataclasses, named tuples, enum members."""

from __future__ import annotations

__all__ = ["DATACLASS", "MODULE", "RECORD_KINDS", "construct", "init_fields"]

import dataclasses
import enum
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType

import flax.linen as nn

from flaxlayer_core.config.argument_limits import check_integers, check_storable
from flaxlayer_core.config.definitions import (
    is_enum_class,
    is_module_class,
    is_namedtuple_class,
    is_record_class,
    same_definition,
)
from flaxlayer_core.config.kinds.classes import decode_class, encode_class
from flaxlayer_core.config.kinds.field_defaults import has_default
from flaxlayer_core.config.reports import cannot_store, explain, refuse, shorten
from flaxlayer_core.config.walk import Decoder, Encoder, Kind, Node
from flaxlayer_core.typing import Leaf

_Fields = tuple[dataclasses.Field[object], ...]


def _is_module(value: object) -> bool:
    return isinstance(value, nn.Module)


def _encode_module(value: nn.Module, path: str, walk: Encoder) -> Node:
    if value.scope is not None:
        raise cannot_store(path, found="a module bound to variables", fix="Use module.unbind()[0].")
    return _encode_fields(value, [*init_fields(type(value))], path, walk)


def _decode_module(node: Node, path: str, walk: Decoder) -> object:
    cls = decode_class(node["class"], path, walk, _is_concrete, "a linen module class")
    arguments = walk.arguments(node["fields"], path)
    fields = init_fields(cls)
    _check_names(cls, arguments, fields, path)
    check_integers(cls, (), arguments, path)
    # parent=None: else Flax would make it a child of a module whose method happens to be running.
    completed = _with_defaults(fields, arguments) | {"parent": None}
    return construct(cls, lambda: cls(**completed), path)


def _is_concrete(value: object) -> bool:
    return is_module_class(value) and dataclasses.is_dataclass(value)


def init_fields(cls: type) -> _Fields:
    """Returns the fields of a dataclass that its constructor takes, without linen's `parent`."""
    return tuple(
        field for field in dataclasses.fields(cls) if field.init and field.name != "parent"
    )


def _with_defaults(fields: _Fields, arguments: dict[str, object]) -> dict[str, Leaf]:
    # A function rebuilt like the field's default is the default: equal modules compare equal.
    defaults = {
        field.name: field.default for field in fields if isinstance(field.default, FunctionType)
    }
    same = {
        name
        for name in defaults.keys() & arguments
        if same_definition(defaults[name], arguments[name])
    }
    return {name: defaults[name] if name in same else value for name, value in arguments.items()}


def _encode_fields(
    value: object, fields: list[dataclasses.Field[object]], path: str, walk: Encoder
) -> Node:
    cls = type(value)
    _check_constructor(cls, path)
    check_storable(cls, (), {field.name: getattr(value, field.name) for field in fields}, path)
    held = [(f, getattr(value, f.name), f"{path}.{f.name}") for f in fields]
    pairs = [
        [field.name, walk.encode(item, place)]
        for field, item, place in held
        if not has_default(field, item, place, walk)
    ]
    return {"class": encode_class(cls, path, walk), "fields": pairs}


def _check_constructor(cls: type, path: str) -> None:
    """Raises where the fields alone cannot make the object again, as with an `InitVar`."""
    names = {field.name for field in dataclasses.fields(cls) if field.init}
    parameters = inspect.signature(cls).parameters.values()
    taken = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if taken != names and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        expected = f"a class whose constructor takes its fields: {', '.join(sorted(names))}"
        found = f"{cls.__qualname__}, whose constructor takes {', '.join(sorted(taken))}"
        raise cannot_store(
            path, expected=expected, found=found, fix="Make every argument a field of the class."
        )


def _check_names(cls: type, stored: Mapping[str, object], fields: _Fields, path: str) -> None:
    names = {field.name for field in fields}
    required = {field.name for field in fields if _is_required(field)}
    wrong = sorted(stored.keys() - names) or sorted(required - stored.keys())
    if wrong:
        takes = ", ".join(f"{f.name} (required)" if f.name in required else f.name for f in fields)
        problem = "unknown" if stored.keys() - names else "missing"
        expected = f"the fields of {cls.__qualname__}: {takes}"
        fix = f"Load it with the version of {cls.__qualname__} that it was stored with."
        raise refuse(path, expected=expected, found=f"{problem}: {shorten(wrong)}", fix=fix)


def _is_required(field: dataclasses.Field[object]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def construct(cls: Callable[..., object], make: Callable[[], object], path: str) -> object:
    """What `make` gives, or the error that `cls` does not accept what is stored."""
    try:
        return make()
    except Exception as error:  # a user's constructor may raise anything
        expected = f"fields that {cls.__qualname__} accepts"
        raise refuse(path, expected=expected, found=explain(error)) from error


def _is_record(value: object) -> bool:
    return is_record_class(type(value))


def _encode_record(value: Leaf, path: str, walk: Encoder) -> Node:
    return _encode_fields(value, [f for f in dataclasses.fields(value) if f.init], path, walk)


def _decode_record(node: Node, path: str, walk: Decoder) -> object:
    cls = decode_class(node["class"], path, walk, is_record_class, "a dataclass")
    arguments = walk.arguments(node["fields"], path)
    _check_names(cls, arguments, tuple(f for f in dataclasses.fields(cls) if f.init), path)
    check_integers(cls, (), arguments, path)
    return construct(cls, lambda: cls(**arguments), path)


def _is_namedtuple(value: object) -> bool:
    return is_namedtuple_class(type(value))


def _encode_namedtuple(value: Leaf, path: str, walk: Encoder) -> Node:
    pairs = walk.arguments(dict(zip(value._fields, value, strict=True)), path)
    return {"class": encode_class(type(value), path, walk), "fields": pairs}


def _decode_namedtuple(node: Node, path: str, walk: Decoder) -> object:
    cls = decode_class(node["class"], path, walk, is_namedtuple_class, "a named tuple class")
    arguments = walk.arguments(node["fields"], path)
    return construct(cls, lambda: cls(**arguments), path)


def _is_member(value: object) -> bool:
    return is_enum_class(type(value))


def _encode_member(value: enum.Enum, path: str, walk: Encoder) -> Node:
    if type(value).__members__.get(value.name) is not value:
        raise cannot_store(
            path, found=f"a combined flag, {value!r}", fix="Hold its members in a tuple."
        )
    return {"class": encode_class(type(value), path, walk), "member": value.name}


def _decode_member(node: Node, path: str, walk: Decoder) -> enum.Enum:
    cls = decode_class(node["class"], path, walk, is_enum_class, "an enum class")
    members: Mapping[str, enum.Enum] = cls.__members__
    if isinstance(node["member"], str) and node["member"] in members:
        return members[node["member"]]
    raise refuse(
        path,
        expected=f"a member of {cls.__qualname__}: {sorted(members)}",
        found=shorten(node["member"]),
    )


_FIELDS = frozenset({"class", "fields"})

DATACLASS = Kind("dataclass", _FIELDS, _is_record, _encode_record, _decode_record, shared=True)
MODULE = Kind("module", _FIELDS, _is_module, _encode_module, _decode_module, shared=True)
RECORD_KINDS = (
    MODULE,
    Kind("enum", frozenset({"class", "member"}), _is_member, _encode_member, _decode_member),
    Kind("namedtuple", _FIELDS, _is_namedtuple, _encode_namedtuple, _decode_namedtuple),
    DATACLASS,
)
