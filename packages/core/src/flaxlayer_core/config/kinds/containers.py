"""Containers, each kept as what it is: a tuple is no list, an order is kept."""

from __future__ import annotations

__all__ = ["CONTAINER_KINDS", "check_distinct"]

from collections import Counter, OrderedDict
from collections.abc import Mapping

from flax.core import FrozenDict

from flaxlayer_core.config.reports import explain, refuse, shorten
from flaxlayer_core.config.walk import Decoder, Encoder, Kind, Node, exactly
from flaxlayer_core.typing import Leaf

# Honest ones: -1 and -2 have one hash, so 64 offsets in six dimensions may.
_MOST_OF_A_HASH = 64


def _encode_tuple(value: tuple[object, ...], path: str, walk: Encoder) -> Node:
    return {"items": walk.items(value, path)}


def _decode_tuple(node: Node, path: str, walk: Decoder) -> tuple[object, ...]:
    return tuple(walk.items(node["items"], path))


def _encode_mapping(value: Mapping[object, object], path: str, walk: Encoder) -> Node:
    # Pairs, not a JSON object: keys need not be strings, and no key can be mistaken for one
    # of ours or of Keras.
    return {"items": [_encode_pair(key, item, path, walk) for key, item in value.items()]}


def _encode_pair(key: object, item: object, path: str, walk: Encoder) -> list[object]:
    place = _place(path, key)
    return [walk.encode(key, f"key {place}"), walk.encode(item, place)]


def _place(path: str, key: object) -> str:
    return f"{path}[{shorten(key) if isinstance(key, (str, int)) else '...'}]"


def _decode_mapping(node: Node, path: str, walk: Decoder) -> dict[Leaf, Leaf]:
    pairs = walk.pairs(node["items"], path)
    keys = [walk.decode(key, f"key {index} of {path}") for index, (key, _) in enumerate(pairs)]
    check_distinct(keys, path)
    return {
        key: walk.decode(item, _place(path, key))
        for key, (_, item) in zip(keys, pairs, strict=True)
    }


def check_distinct(keys: list[object], path: str) -> None:
    """Refuses what cannot be the keys of a dictionary or the items of a set.

    Raises:
        DecodeModuleError: One cannot be hashed, stands twice, or many have one hash, so that each
            would be compared with each.
    """
    try:
        hashes = Counter(map(hash, keys))
        is_slow = max(hashes.values(), default=0) > _MOST_OF_A_HASH
        distinct = len(keys) if is_slow else len(set(keys))
    except Exception as error:  # hashing may run a module's fields, which may be of any type
        raise refuse(path, expected="hashable keys", found=explain(error)) from error
    if is_slow:
        expected = f"at most {_MOST_OF_A_HASH} keys of one hash"
        raise refuse(path, expected=expected, found="more", law="S3")
    if distinct < len(keys):
        raise refuse(path, expected="keys that differ", found="one twice")


def _decode_frozen_dict(node: Node, path: str, walk: Decoder) -> FrozenDict[Leaf, Leaf]:
    return FrozenDict(_decode_mapping(node, path, walk))


def _decode_ordered_dict(node: Node, path: str, walk: Decoder) -> OrderedDict[Leaf, Leaf]:
    return OrderedDict(_decode_mapping(node, path, walk))


def _encode_set(value: frozenset[object] | set[object], path: str, walk: Encoder) -> Node:
    # A set has no order of its own, and a file should not depend on the hash seed.
    return {"items": walk.items(sorted(value, key=lambda item: walk.canonical(item, path)), path)}


def _decode_set(node: Node, path: str, walk: Decoder) -> set[Leaf]:
    items = walk.items(node["items"], path)
    check_distinct(items, path)
    return set(items)


def _decode_frozenset(node: Node, path: str, walk: Decoder) -> frozenset[Leaf]:
    return frozenset(_decode_set(node, path, walk))


_ITEMS = frozenset({"items"})

CONTAINER_KINDS = (
    Kind("tuple", _ITEMS, exactly(tuple), _encode_tuple, _decode_tuple),
    Kind("dict", _ITEMS, exactly(dict), _encode_mapping, _decode_mapping),
    Kind("ordered_dict", _ITEMS, exactly(OrderedDict), _encode_mapping, _decode_ordered_dict),
    Kind("frozen_dict", _ITEMS, exactly(FrozenDict), _encode_mapping, _decode_frozen_dict),
    Kind("set", _ITEMS, exactly(set), _encode_set, _decode_set),
    Kind("frozenset", _ITEMS, exactly(frozenset), _encode_set, _decode_frozenset),
)
