"""The configurations of `ml_collections`, which this package never imports (S1)."""

from __future__ import annotations

__all__ = ["CONFIG_DICT_KINDS", "config_dict_items"]

from collections.abc import Callable, Mapping
from types import MappingProxyType, NoneType

from flaxlayer_core.config.kinds.classes import decode_class, encode_class
from flaxlayer_core.config.kinds.containers import check_distinct
from flaxlayer_core.config.kinds.records import construct
from flaxlayer_core.config.optional_packages import optional_class
from flaxlayer_core.config.reports import cannot_store, describe, refuse, shorten
from flaxlayer_core.config.walk import Decoder, Encoder, Kind, Node
from flaxlayer_core.typing import Leaf

_DICT, _FROZEN, _REFERENCE = (
    f"ml_collections:{name}" for name in ("ConfigDict", "FrozenConfigDict", "FieldReference")
)
_FLAGS = ("type_safe", "convert_dict", "allow_dotted_keys", "sort_keys")
# What the type of a reference may be beyond the classes that have a stored name.
_TYPES: Mapping[str, type] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (bool, bytes, complex, dict, float, frozenset, int, list, object, set, str)
    }
    | {"tuple": tuple, "NoneType": NoneType}
)


def _subclass_of(name: str) -> Callable[[object], bool]:
    def accepts(value: object) -> bool:
        base = optional_class(name)
        return base is not None and isinstance(value, type) and issubclass(value, base)

    return accepts


_is_dict_class, _is_frozen_class = _subclass_of(_DICT), _subclass_of(_FROZEN)
_is_reference_class = _subclass_of(_REFERENCE)


def _is_frozen(value: object) -> bool:
    return _is_frozen_class(type(value))


def _encode_frozen(value: Leaf, path: str, walk: Encoder) -> Node:
    # Tuples that were lists before they were frozen count when it is compared.
    held = walk.encode(value.as_configdict(), path)
    return {"class": encode_class(type(value), path, walk), "held": held}


def _decode_frozen(node: Node, path: str, walk: Decoder) -> object:
    cls = decode_class(node["class"], path, walk, _is_frozen_class, "ml_collections' class")
    held = walk.decode(node["held"], path)
    if not _is_dict_class(type(held)):
        raise refuse(path, expected="a ConfigDict", found=describe(held))
    return construct(cls, lambda: cls(held, type_safe=held.is_type_safe), path)


def _is_config_dict(value: object) -> bool:
    return _is_dict_class(type(value))


def config_dict_items(value: object) -> list[object] | None:
    """What a configuration of `ml_collections` holds, None for anything else."""
    if _is_config_dict(value):
        held: Leaf = value
        return [item for _, item in held.items(preserve_field_references=True)]
    if not _is_reference(value):
        return None
    reference: Leaf = value
    return [] if reference.empty() else [reference.get()]


def _flags(value: Leaf) -> dict[str, bool]:
    flags = {"type_safe": value.is_type_safe, "convert_dict": value.convert_dict}
    # Later versions alone have these, the last without a public name.
    if getattr(value, "allow_dotted_keys", False):
        flags["allow_dotted_keys"] = True
    if not vars(value).get("_sort_keys", True):
        flags["sort_keys"] = False
    return flags


def _encode_config_dict(value: Leaf, path: str, walk: Encoder) -> Node:
    pairs = [
        [walk.encode(key, f"key {path}[{key!r}]"), walk.encode(item, f"{path}.{key}")]
        for key, item in value.items(preserve_field_references=True)
    ]
    return {
        "class": encode_class(type(value), path, walk),
        "items": pairs,
        "locked": value.is_locked,
        "flags": [[name, flag] for name, flag in _flags(value).items()],
    }


def _decode_config_dict(node: Node, path: str, walk: Decoder) -> object:
    cls = decode_class(node["class"], path, walk, _is_dict_class, "ml_collections' class")
    pairs = [
        (walk.decode(key, f"key {index} of {path}"), walk.decode(item, f"{path}[{index}]"))
        for index, (key, item) in enumerate(walk.pairs(node["items"], path))
    ]
    check_distinct([key for key, _ in pairs], path)
    if len(pairs) > len({str(key) for key, _ in pairs}):
        raise refuse(path, expected="keys that differ", found="one twice")
    flags = _read_flags(node, path, walk)
    return construct(cls, lambda: _fill(cls(**flags), pairs, bool(node["locked"])), path)


def _read_flags(node: Node, path: str, walk: Decoder) -> dict[str, Leaf]:
    flags = walk.arguments(node["flags"], path)
    if all(type(flag) is bool for flag in [*flags.values(), node["locked"]]) and set(flags) <= set(
        _FLAGS
    ):
        return flags
    raise refuse(path, expected=f"some of {_FLAGS}, true or false", found=shorten([*flags]))


def _fill(made: Leaf, pairs: list[tuple[object, object]], is_locked: bool) -> object:
    if is_locked:
        # Locking reaches down into what is held, which keeps its own state: so it comes first.
        for key, _ in pairs:
            made[key] = None
        made.lock()
    for key, item in pairs:
        made[key] = item
    return made


def _is_reference(value: object) -> bool:
    return _is_reference_class(type(value))


def _encode_reference(value: Leaf, path: str, walk: Encoder) -> Node:
    # What is computed from other references is stored as what it comes to.
    held = None if value.empty() else value.get()
    return {
        "value": walk.encode(held, path),
        "of": _encode_type(value.get_type(), path, walk),
        "required": value.empty() and _is_required(value),
    }


def _is_required(reference: Leaf) -> bool:
    try:
        reference.get()
    except Exception as error:  # its class is the package's own, which is not imported here
        if type(error).__name__ == "RequiredValueError":
            return True
        raise
    return False


def _encode_type(kind: object, path: str, walk: Encoder) -> object:
    if isinstance(kind, tuple):
        return [_encode_type(each, path, walk) for each in kind]
    if isinstance(kind, type):
        name = kind.__name__
        return name if _TYPES.get(name) is kind else walk.encode(kind, path)
    raise cannot_store(path, found=f"a reference to {describe(kind)}", fix="Give it a class.")


def _decode_reference(node: Node, path: str, walk: Decoder) -> object:
    cls = decode_class(_REFERENCE, path, walk, _is_reference_class, "ml_collections' class")
    value, kind = walk.decode(node["value"], path), _decode_type(node["of"], path, walk)
    if type(node["required"]) is not bool:
        raise refuse(path, expected="true or false", found=shorten(node["required"]))
    return construct(cls, lambda: cls(value, kind, required=node["required"]), path)


def _decode_type(node: object, path: str, walk: Decoder) -> object:
    if isinstance(node, list):
        return tuple(_decode_type(each, path, walk) for each in node)
    if isinstance(node, str) and node in _TYPES:
        return _TYPES[node]
    found = walk.decode(node, path)
    if isinstance(found, type):
        return found
    raise refuse(path, expected="the type of a reference", found=describe(found))


CONFIG_DICT_KINDS = (
    Kind(
        "frozen_config_dict",
        frozenset({"class", "held"}),
        _is_frozen,
        _encode_frozen,
        _decode_frozen,
        shared=True,
    ),
    Kind(
        "config_dict",
        frozenset({"class", "items", "locked", "flags"}),
        _is_config_dict,
        _encode_config_dict,
        _decode_config_dict,
        shared=True,
    ),
    Kind(
        "config_reference",
        frozenset({"value", "of", "required"}),
        _is_reference,
        _encode_reference,
        _decode_reference,
        shared=True,
    ),
)
