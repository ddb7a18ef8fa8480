"""Classes as values: by name, or by transform and arguments for those that a transform made."""

from __future__ import annotations

__all__ = ["CLASS_KINDS", "NAMED_CLASS", "decode_class", "encode_class", "is_class"]

import hashlib
import inspect
import json
from collections.abc import Callable
from weakref import WeakKeyDictionary, WeakValueDictionary

from flaxlayer_core.compat.private_lifts import (
    TRANSFORMS,
    is_lifted_class,
    lifted_methods,
    make_lifted,
)
from flaxlayer_core.config import world
from flaxlayer_core.config.definitions import (
    is_module_class,
    public_methods,
    same_definition,
)
from flaxlayer_core.config.reports import cannot_store, describe, explain, refuse, shorten
from flaxlayer_core.config.stock import stock_name
from flaxlayer_core.config.walk import Decoder, Encoder, Kind, Node
from flaxlayer_core.typing import Leaf

_FIX = "Store it under a name of its own: flaxlayer.register(cls, name='...'), before loading too."
# Loading twice gives one class, so that equal modules are equal and compile once: for each class
# those made of it that live, by a digest of the transform and its arguments.
_made: WeakKeyDictionary[type, WeakValueDictionary[bytes, type]] = WeakKeyDictionary()


def encode_class(value: type, path: str, walk: Encoder) -> str | Node:
    """The stored form of a class: its name, or an object for a lifted class."""
    name = walk.name(value, path)
    if name is not None:
        return name
    if is_lifted_class(value):
        return {"$type": "lifted", **_encode_lifted(value, path, walk)}
    expected = "a module class, class of configurations, dataclass, enum or named tuple class"
    raise cannot_store(
        path, expected=expected, found=describe(value), fix="Hold the name of it instead."
    )


def decode_class(
    node: object, path: str, walk: Decoder, accepts: Callable[[object], bool], expected: str
) -> Leaf:
    """The class whose stored form is `node`, checked by `accepts` before any use (S2)."""
    if not isinstance(node, dict):
        return walk.find(node, path, accepts, expected)
    found = walk.decode(node, path)
    if accepts(found):
        return found
    raise refuse(path, expected=expected, found=describe(found))


def _encode_named(value: type, path: str, walk: Encoder) -> Node:
    return {"name": encode_class(value, path, walk)}


def _decode_named(node: Node, path: str, walk: Decoder) -> object:
    return walk.find(node["name"], path, _is_known_kind, "a class")


def _is_known_kind(value: object) -> bool:
    return isinstance(value, type) and (
        world.is_nameable_class(value) or stock_name(value) is not None
    )


def is_class(value: object) -> bool:
    """Tells whether a value is a class."""
    return isinstance(value, type)


def _is_registered_class(value: object) -> bool:
    return isinstance(value, type) and world.is_registered(value)


def _encode_lifted(value: type, path: str, walk: Encoder) -> Node:
    methods = lifted_methods(value)
    found = {id(method.transform) for method in methods.values()}
    name = next((name for name, known in TRANSFORMS.items() if found == {id(known)}), None)
    if name is None:
        raise cannot_store(
            path, expected="a lifted transform of Flax", found=describe(value), fix=_FIX
        )
    base = value.__bases__[0]
    node: Node = {
        "transform": name,
        "class": encode_class(base, path, walk),
        "methods": [
            [key, walk.arguments(methods[key].arguments, path, "{path}({name}=)")]
            for key in methods
        ],
    }
    _made.setdefault(base, WeakValueDictionary())[_digest(node)] = value
    return node


def _digest(node: Node) -> bytes:
    """What tells one lifted class from others of its base, of a fixed size."""
    text = json.dumps([node["transform"], node["methods"]])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _decode_lifted(node: Node, path: str, walk: Decoder) -> type:
    transform = TRANSFORMS.get(node["transform"]) if isinstance(node["transform"], str) else None
    if transform is None:
        raise refuse(
            path, expected=f"one of {sorted(TRANSFORMS)}", found=shorten(node["transform"])
        )
    base = decode_class(node["class"], path, walk, is_module_class, "a module class")
    pairs = walk.pairs(node["methods"], path)
    methods = {
        _check_method(name, base, path): _arguments(nodes, path, walk, transform)
        for name, nodes in pairs
    }
    known, key = _made.setdefault(base, WeakValueDictionary()), _digest(node)
    made = known.get(key)
    # References and names may stand for something else than they did in another file.
    if made is None or not _is_made_with(made, methods):
        known[key] = made = _make(transform, base, methods, path)
    return made


def _is_made_with(made: type, methods: dict[str, dict[str, object]]) -> bool:
    held = {name: method.arguments for name, method in lifted_methods(made).items()}
    return same_definition(held, methods)


def _check_method(name: object, base: type, path: str) -> str:
    # S2: Flax reads the attribute by this name, so it must be a public method.
    if isinstance(name, str) and name in public_methods(base):
        return name
    raise refuse(path, expected=f"a public method of {base.__qualname__}", found=shorten(name))


def _arguments(
    nodes: object, path: str, walk: Decoder, transform: Callable[..., object]
) -> dict[str, Leaf]:
    arguments = walk.arguments(nodes, path, "{path}({name}=)")
    try:
        inspect.signature(transform).bind(None, **arguments)
    except TypeError as error:
        raise refuse(path, expected="arguments of the transform", found=explain(error)) from error
    return arguments


def _make(transform: Callable[..., Leaf], base: type, methods: dict[str, Leaf], path: str) -> type:
    try:
        return make_lifted(transform, base, methods)
    except Exception as error:  # from the depths of Flax, for arguments that it does not take
        raise refuse(path, expected="arguments of the transform", found=explain(error)) from error


NAMED_CLASS = Kind("class", frozenset({"name"}), _is_registered_class, _encode_named, _decode_named)
CLASS_KINDS = (
    Kind(
        "lifted",
        frozenset({"transform", "class", "methods"}),
        is_lifted_class,
        _encode_lifted,
        _decode_lifted,
    ),
    Kind("class", frozenset({"name"}), is_class, _encode_named, _decode_named),
)
