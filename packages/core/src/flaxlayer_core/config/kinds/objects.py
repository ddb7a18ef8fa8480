"""Objects of users' classes, stored by their own codec and checked at once (S1)."""

from __future__ import annotations

__all__ = ["GIVEN_OBJECT", "OBJECT_KINDS"]

import json
import random
from collections.abc import Mapping
from types import SimpleNamespace

import flax.linen as nn

from flaxlayer_core.config.definitions import is_module_class, is_record_class, same_definition
from flaxlayer_core.config.kinds.classes import decode_class, encode_class, is_class
from flaxlayer_core.config.kinds.nested_keras import check_nested
from flaxlayer_core.config.kinds.records import DATACLASS, MODULE, construct
from flaxlayer_core.config.object_codecs import (
    Codec,
    codec_named,
    codecs_of,
    has_codec,
    registered_codec,
)
from flaxlayer_core.config.reports import (
    cannot_store,
    describe,
    explain,
    how_to_store,
    refuse,
    shorten,
)
from flaxlayer_core.config.walk import Decoder, Encoder, Kind, Node, exactly
from flaxlayer_core.errors import DecodeModuleError, EncodeModuleError
from flaxlayer_core.typing import Leaf

# While a file is written, Keras puts the address of an object into what it stores of it.
_SHARED = "shared_object_id"


class _UnfaithfulError(Exception):
    """What a codec stores makes another object."""


def _is_object(value: object) -> bool:
    return not isinstance(value, type) and (has_codec(type(value)) or _may_change(value))


def _may_change(value: object) -> bool:
    """Whether the fields of a record or module may be others than those that it was made of."""
    cls = type(value)
    own = getattr(cls, "__post_init__", None)
    return own not in (None, nn.Module.__post_init__) and _record_kind(cls) is not None


def _record_kind(cls: type) -> Kind | None:
    if is_module_class(cls):
        return MODULE
    return DATACLASS if is_record_class(cls) else None


def _has_codec(value: object) -> bool:
    return registered_codec(type(value)) is not None


def _encode_object(value: object, path: str, walk: Encoder) -> Node:
    return _encode_by(_choose(value, path, walk), value, path, walk)


def _encode_by(codec: Codec | None, value: object, path: str, walk: Encoder) -> Node:
    if codec is None:
        kind = _record_kind(type(value))
        assert kind is not None  # only records are offered without a codec
        return {**kind.encode(value, path, walk), "$type": kind.tag}
    node = {"class": encode_class(type(value), path, walk), "protocol": codec.name}
    try:
        config = codec.take(value)
    except Exception as error:  # a user's method may raise anything
        found = f"{describe(value)}, whose {codec.name} gives {explain(error)}"
        raise cannot_store(path, found=found, fix=how_to_store(value)) from error
    return node | {"config": walk.encode(config, path)}


def _choose(value: object, path: str, walk: Encoder) -> Codec | None:
    """The first codec that makes an equal object; None for the fields of a dataclass."""
    memory, cls = walk.memory, type(value)
    if id(value) in memory.verified:
        return memory.verified[id(value)][1]
    if not walk.checks and cls in memory.chosen:
        return memory.chosen[cls]
    # To make an object may draw seeds, as Keras's initializers do; to store one draws nothing.
    state = random.getstate()
    try:
        choice = _first_faithful(value, path, walk)
    finally:
        random.setstate(state)
    memory.chosen[cls], memory.verified[id(value)] = choice, (value, choice)
    return choice


def _first_faithful(value: object, path: str, walk: Encoder) -> Codec | None:
    offered = _offered(type(value))
    problems: list[Exception] = []
    for strict in (True, False):
        for codec in offered:
            try:
                _check(codec, value, path, walk, strict=strict)
            except (EncodeModuleError, DecodeModuleError, _UnfaithfulError) as error:
                problems.append(error)
            else:
                return codec
    raise _refusal(value, path, problems)


def _offered(cls: type) -> tuple[Codec | None, ...]:
    offered = codecs_of(cls)
    is_coded = registered_codec(cls) is not None
    return (*offered, None) if _record_kind(cls) and not is_coded else offered


def _refusal(value: object, path: str, problems: list[Exception]) -> Exception:
    inner = next((each for each in problems if isinstance(each, EncodeModuleError)), None)
    if inner is not None:
        return inner
    first = problems[0]
    problem = str(first)
    if isinstance(first, DecodeModuleError):
        problem = f"expected {first.expected}, found {first.found}"
    return cannot_store(
        path,
        expected="an object that its stored form makes again",
        found=f"{describe(value)}; {problem}",
        fix=how_to_store(value),
    )


def _check(codec: Codec | None, value: object, path: str, walk: Encoder, *, strict: bool) -> None:
    """Raises unless what `codec` stores makes an object that is stored the same."""
    chosen = dict(walk.memory.chosen)
    walk.memory.chosen[type(value)] = codec
    try:
        node = {"$type": "object", **_encode_by(codec, value, path, walk.fresh())}
        copy = walk.decoder().decode(node, path)
        _compare(codec, value, copy, path, walk)
        if strict:
            _compare_structure(codec, value, copy, path, walk)
    finally:
        walk.memory.chosen = chosen


def _compare(codec: Codec | None, value: object, copy: object, path: str, walk: Encoder) -> None:
    if not same_definition(type(copy), type(value)):
        raise _UnfaithfulError(f"what it stores makes {describe(copy)}")
    nodes = [_encode_by(codec, each, path, walk.fresh()) for each in (value, copy)]
    if _text(nodes[0]) != _text(nodes[1]):
        raise _UnfaithfulError("what it stores makes another object, which stores something else")


def _text(node: object) -> str:
    """JSON text that is equal for equal nodes; a dictionary has no order here, as in Python."""
    return json.dumps(_unordered(node), sort_keys=True)


def _unordered(node: object) -> Leaf:
    if isinstance(node, list):
        return [*map(_unordered, node)]
    if not isinstance(node, dict):
        return node
    plain = {key: _unordered(item) for key, item in node.items()}
    if node.get("$type") == "dict":
        kept = [pair for pair in plain["items"] if pair[0] != _SHARED]
        plain["items"] = sorted(kept, key=json.dumps)
    return plain


def _compare_structure(
    codec: Codec | None, value: object, copy: object, path: str, walk: Encoder
) -> None:
    others = [each for each in _offered(type(value)) if each is None or each.structural]
    for other in others:
        if other is not codec and _can_encode(other, value, path, walk):
            _compare(other, value, copy, path, walk)


def _can_encode(codec: Codec | None, value: object, path: str, walk: Encoder) -> bool:
    try:
        _encode_by(codec, value, path, walk.fresh())
    except EncodeModuleError:
        return False
    return True


def _decode_object(node: Node, path: str, walk: Decoder) -> object:
    cls = decode_class(node["class"], path, walk, is_class, "a class of configurations")
    codec = codec_named(node["protocol"], cls)
    if codec is None:
        names = [each.name for each in codecs_of(cls)]
        fix = f"flaxlayer.register({cls.__name__}, encode=..., decode=...) as when it was stored."
        found = shorten(node["protocol"])
        raise refuse(
            path, expected=f"a protocol of {cls.__qualname__}: {names}", found=found, fix=fix
        )
    config = walk.decode(node["config"], path)
    if codec.name == "get_config":
        check_nested(config, path, walk)
    made = construct(cls, lambda: codec.make(cls, config), path)
    if isinstance(made, cls):
        return made
    raise refuse(path, expected=f"an object of {cls.__qualname__}", found=describe(made))


def _encode_namespace(value: SimpleNamespace, path: str, walk: Encoder) -> Node:
    return {"items": walk.arguments(vars(value), path)}


def _decode_namespace(node: Node, path: str, walk: Decoder) -> SimpleNamespace:
    held: Mapping[str, Leaf] = walk.arguments(node["items"], path)
    return SimpleNamespace(**held)


_KEYS = frozenset({"class", "protocol", "config"})

GIVEN_OBJECT = Kind("object", _KEYS, _has_codec, _encode_object, _decode_object, shared=True)
OBJECT_KINDS = (
    Kind(
        "namespace",
        frozenset({"items"}),
        exactly(SimpleNamespace),
        _encode_namespace,
        _decode_namespace,
        shared=True,
    ),
    Kind("object", _KEYS, _is_object, _encode_object, _decode_object, shared=True),
)
