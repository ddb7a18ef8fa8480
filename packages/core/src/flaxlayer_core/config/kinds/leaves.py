"""Kinds without parts of their own: numbers, bytes, slices, constants."""

from __future__ import annotations

__all__ = ["LEAF_KINDS", "read_bytes"]

import base64
import binascii
import math

from flaxlayer_core.config.limits import range_length, read_integer
from flaxlayer_core.config.reports import refuse, shorten
from flaxlayer_core.config.stock import CONSTANTS, stock_name
from flaxlayer_core.config.walk import Decoder, Encoder, Kind, Node, exactly

_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def read_bytes(data: object, path: str) -> bytes:
    """The bytes of a base64 payload.

    Raises:
        DecodeModuleError: `data` is no base64 text.
    """
    try:
        return base64.b64decode(data.encode("ascii"), validate=True)  # type: ignore[attr-defined]
    except (AttributeError, UnicodeError, binascii.Error):
        raise refuse(path, expected="base64 text", found=shorten(data), law="S3") from None


def _encode_int(value: int, path: str, walk: Encoder) -> Node:
    return {"hex": hex(value)}


def _decode_int(node: Node, path: str, walk: Decoder) -> int:
    value = read_integer(node["hex"], walk.limits)
    if value is not None:
        return value
    expected = "a hexadecimal integer of bounded size"
    raise refuse(path, expected=expected, found=shorten(node["hex"]), law="S3")


def _encode_float(value: float, path: str, walk: Encoder) -> Node:
    return {"value": repr(value)}


def _decode_float(node: Node, path: str, walk: Decoder) -> float:
    value = node["value"]
    if isinstance(value, str) and value in _FLOATS:
        return _FLOATS[value]
    raise refuse(path, expected="'nan', 'inf' or '-inf'", found=shorten(value))


def _encode_complex(value: complex, path: str, walk: Encoder) -> Node:
    return {
        "real": walk.encode(value.real, f"{path}.real"),
        "imag": walk.encode(value.imag, f"{path}.imag"),
    }


def _decode_complex(node: Node, path: str, walk: Decoder) -> complex:
    parts = [walk.decode(node[key], f"{path}.{key}") for key in ("real", "imag")]
    if all(type(part) is float for part in parts):
        return complex(*parts)
    raise refuse(path, expected="two floats", found=shorten(parts))


def _encode_bytes(value: bytes, path: str, walk: Encoder) -> Node:
    return {"data": base64.b64encode(value).decode("ascii")}


def _decode_bytes(node: Node, path: str, walk: Decoder) -> bytes:
    return read_bytes(node["data"], path)


def _encode_bounds(value: object, path: str, walk: Encoder) -> Node:
    return {
        key: walk.encode(getattr(value, key), f"{path}.{key}") for key in ("start", "stop", "step")
    }


def _decode_slice(node: Node, path: str, walk: Decoder) -> slice:
    return slice(*(walk.decode(node[key], f"{path}.{key}") for key in ("start", "stop", "step")))


def _decode_range(node: Node, path: str, walk: Decoder) -> range:
    parts = [walk.decode(node[key], f"{path}.{key}") for key in ("start", "stop", "step")]
    if all(type(part) is int for part in parts) and parts[2] != 0:
        walk.grow(range_length(*parts), path)
        return range(*parts)
    raise refuse(path, expected="three integers, the step not 0", found=shorten(parts))


def _is_constant(value: object) -> bool:
    return stock_name(value) in CONSTANTS


def _encode_constant(value: object, path: str, walk: Encoder) -> Node:
    return {"name": stock_name(value)}


def _decode_constant(node: Node, path: str, walk: Decoder) -> object:
    name = node["name"]
    if isinstance(name, str) and name in CONSTANTS:
        return CONSTANTS[name]
    raise refuse(path, expected=f"one of {sorted(CONSTANTS)}", found=shorten(name))


_BOUNDS = frozenset({"start", "stop", "step"})

LEAF_KINDS = (
    Kind("constant", frozenset({"name"}), _is_constant, _encode_constant, _decode_constant),
    Kind("int", frozenset({"hex"}), exactly(int), _encode_int, _decode_int),
    Kind("float", frozenset({"value"}), exactly(float), _encode_float, _decode_float),
    Kind(
        "complex", frozenset({"real", "imag"}), exactly(complex), _encode_complex, _decode_complex
    ),
    Kind("bytes", frozenset({"data"}), exactly(bytes), _encode_bytes, _decode_bytes),
    Kind("slice", _BOUNDS, exactly(slice), _encode_bounds, _decode_slice),
    Kind("range", _BOUNDS, exactly(range), _encode_bounds, _decode_range),
)
